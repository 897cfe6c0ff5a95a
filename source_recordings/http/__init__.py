"""One request until it is answered: with the provider's credential, at its pace, once for all streams that need the answer.

It knows neither streams nor records; `reading` and `files` ask through it.
"""
