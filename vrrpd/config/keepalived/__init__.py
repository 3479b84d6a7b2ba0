"""keepalived's language: a configuration written in it, and keepalived.conf read.

source      the lines: comments, include, @ID, $NAME=
statements  words and blocks
translation what becomes of a word: a key, a remark, an error
routers, servers, checks, elsewhere    the words
reading     all of it: from a keepalived.conf to a `Config`
render      the other way
"""

from vrrpd.config.keepalived.render import as_keepalived

__all__ = ["as_keepalived"]
