"""File streams: a row that names a media file becomes a record with the file in the staging directory.

One file takes this way: `jobs.FileJobs` hands a row to `media.Media`, which finds the address in it; `source.Source` opens the
address (with the provider's credential on the provider's own host only), `download.download` streams the body into a
`staging.Part`, and the part, once it is whole, is renamed to the name that `names` made.
"""
