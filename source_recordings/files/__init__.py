"""File streams: a row that names a media file becomes a record with the file in the staging directory.

One file takes this way: `files.StreamFiles` finds the address in the row; `source.Source` opens it (with the provider's
credential on the provider's own host only), `download.download` streams the body, unpacked by
`encoded`, into a `staging.Part`. Once the part is whole, `sniff` looks whether it is media at all, and it is renamed to the
name that `names` made, in one of `folders`. Audio that comes inside an answer is decoded by `inline`.
"""
