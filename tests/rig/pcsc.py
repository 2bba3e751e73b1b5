"""pcsc.py: another program of the same computer that talks to the card in the reader, by pcsc-lite alone."""
import ctypes


class OtherClient:
    """Another program of the same computer that uses the card in the reader (pcsc-lite, not ours)."""
    SHARED, T1, LEAVE, RESET = 2, 2, 0, 1
    SELECT = '00A404000BA00000030800001000010000'

    class Request(ctypes.Structure):
        _fields_ = [('protocol', ctypes.c_ulong), ('length', ctypes.c_ulong)]

    def __init__(self):
        self.pcsc = ctypes.CDLL('libpcsclite.so.1')
        self.context, self.card, protocol = ctypes.c_long(), ctypes.c_long(), ctypes.c_ulong()
        self.call('SCardEstablishContext', ctypes.c_ulong(2), None, None, ctypes.byref(self.context))
        self.call('SCardConnect', self.context, b'Virtual PCD 00 00', ctypes.c_ulong(self.SHARED),
                  ctypes.c_ulong(self.T1), ctypes.byref(self.card), ctypes.byref(protocol))

    def call(self, name, *arguments):
        status = getattr(self.pcsc, name)(*arguments)
        if status:
            raise AssertionError(f'{name}: {status & 0xffffffff:08x}')

    def transmit(self, command):
        answer, size, raw = ctypes.create_string_buffer(65538), ctypes.c_ulong(65538), bytes.fromhex(command)
        self.call('SCardTransmit', self.card, ctypes.byref(self.Request(self.T1, 16)), raw, ctypes.c_ulong(len(raw)),
                  None, answer, ctypes.byref(size))
        return answer.raw[:size.value].hex()

    def verify(self, pin):
        return self.transmit('0020008008' + pin.encode().ljust(8, b'\xff').hex())

    def close(self, disposition=LEAVE):
        self.call('SCardDisconnect', self.card, ctypes.c_ulong(disposition))
        self.call('SCardReleaseContext', self.context)
