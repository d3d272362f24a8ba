"""Both ends of a ring as a learner of lesson 09 may write them: one function, apart from the lab's own."""


def end(ring, data, transaction):
    def wrap(ring, at, data):
        first = data[: ring.size - at]
        ring.write(at, first)
        if len(first) < len(data):
            ring.write(0, data[len(first) :])

    def take(ring, at, count):
        at %= ring.size
        first = ring.read(at, min(count, ring.size - at))
        return first if len(first) == count else first + ring.read(0, count - len(first))

    def send(ring, data, transaction):
        data += bytes(-len(data) % 8)
        needed, old = 16 + len(data) + 8, ring.load("write_index")
        for last in (False, True):
            read = ring.load("read_index")
            if read >= ring.size or read % 8:
                ring.refuse()
                return False
            if ring.size - (old - read) % ring.size > needed:
                break
            if last:
                return False
            ring.store("pending", needed)
        ring.store("pending", 0)
        words = (6, 2, (16 + len(data)) // 8, 0)
        head = b"".join(word.to_bytes(2, "little") for word in words) + transaction.to_bytes(8, "little")
        wrap(ring, old, head + data + bytes(4) + old.to_bytes(4, "little"))
        ring.store("write_index", (old + needed) % ring.size)
        if ring.load("mask") == 0 and ring.load("read_index") == old:
            ring.signal()
        return True

    def recv(ring):
        found = []
        while True:
            ring.store("mask", 1)
            while True:
                at, end = ring.load("read_index"), ring.load("write_index")
                if end >= ring.size or end % 8:
                    ring.refuse()
                    return found
                there = (end - at) % ring.size
                if not there:
                    break
                head = take(ring, at, 16) if there >= 24 else bytes(16)
                offset, length = (8 * int.from_bytes(head[k : k + 2], "little") for k in (2, 4))
                if not 16 <= offset <= length <= there - 8:
                    ring.refuse()
                    return found
                found.append((int.from_bytes(head[8:], "little"), take(ring, at + offset, length - offset)))
                new = (at + length + 8) % ring.size
                ring.store("read_index", new)
                pending = ring.load("pending")
                if pending:
                    after = ring.size - (ring.load("write_index") - new) % ring.size
                    if after - length - 8 <= pending < after:
                        ring.signal()
            ring.store("mask", 0)
            if ring.load("write_index") == ring.load("read_index"):
                return found

    return recv(ring) if data is None else send(ring, data, transaction)
