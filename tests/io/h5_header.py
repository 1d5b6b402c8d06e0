"""Changes the headers of an HDF5 file and makes their checksums right again."""
import h5py


def lookup3(data):
    """Bob Jenkins' hash, which HDF5 uses for its metadata."""
    mask = 0xffffffff

    def rot(x, k):
        return ((x << k) | (x >> (32 - k))) & mask
    a = b = c = (0xdeadbeef + len(data)) & mask
    at, left = 0, len(data)
    while left > 12:
        a, b, c = [(v + int.from_bytes(data[at + 4 * i:at + 4 * i + 4], "little")) & mask
                   for i, v in enumerate((a, b, c))]
        for k1, k2, k3 in ((4, 6, 8), (16, 19, 4)):
            a, c = ((a - c) & mask) ^ rot(c, k1), (c + b) & mask
            b, a = ((b - a) & mask) ^ rot(a, k2), (a + c) & mask
            c, b = ((c - b) & mask) ^ rot(b, k3), (b + a) & mask
        at, left = at + 12, left - 12
    tail = data[at:] + b"\0" * (12 - left)
    a, b, c = [(v + int.from_bytes(tail[4 * i:4 * i + 4], "little")) & mask
               for i, v in enumerate((a, b, c))]
    c = ((c ^ b) - rot(b, 14)) & mask
    a = ((a ^ c) - rot(c, 11)) & mask
    b = ((b ^ a) - rot(a, 25)) & mask
    c = ((c ^ b) - rot(b, 16)) & mask
    a = ((a ^ c) - rot(c, 4)) & mask
    b = ((b ^ a) - rot(a, 14)) & mask
    return ((c ^ b) - rot(b, 24)) & mask


def make_endless(path, name):
    """A dataset that claims 2**44 values, under an index whose chunks HDF5 goes through one by one."""
    with h5py.File(path, "r") as f:
        start = h5py.h5o.get_info(f[name].id).addr
    with open(path, "r+b") as f:
        f.seek(start)
        header = bytearray(f.read(1 << 16))
        assert header[:4] == b"OHDR"
        flags, at = header[5], 6
        at += 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1)
        n_size = 1 << (flags & 3)
        end = at + n_size + int.from_bytes(header[at:at + n_size], "little")
        at += n_size
        while at + 4 <= end:
            kind, size = header[at], int.from_bytes(header[at + 1:at + 3], "little")
            body = at + 4 + 2 * (flags >> 2 & 1)
            if kind == 1:  # the dataspace: its first size
                header[body + 4:body + 12] = (1 << 44).to_bytes(8, "little")
            if kind == 8:  # the layout: its index is "implicit"
                header[body + 5 + header[body + 3] * header[body + 4]] = 2
            at = body + size
        header[end:end + 4] = lookup3(bytes(header[:end])).to_bytes(4, "little")
        f.seek(start)
        f.write(header[:end + 4])
