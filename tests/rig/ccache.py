"""ccache.py: what a ccache in a file says of its ticket's life (MIT Kerberos, "Credential cache file format")."""
import struct


def life(path, ends):
    """When it began, and where that stands; ends: when it ends, as who has read it says."""
    data = path.read_bytes()
    where = data.index(struct.pack('>I', ends)) - 4
    return struct.unpack_from('>I', data, where)[0], where


def age(path, ends, by):
    """As if the ticket were so many seconds older, to who reads the ccache; the ticket itself is the KDC's, and stays."""
    begins, where = life(path, ends)
    with open(path, 'r+b') as out:
        out.seek(where)
        out.write(struct.pack('>II', begins - by, ends - by))
    return ends - by
