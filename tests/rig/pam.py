"""pam.py: a program that logs people in by PAM (pam(3)), as small as can be, with the time at which each thing came."""
import ctypes
import time
from dataclasses import dataclass, field

PROMPT_ECHO_OFF, PROMPT_ECHO_ON, ERROR_MSG, TEXT_INFO = 1, 2, 3, 4
SUCCESS, CONV_ERR, IGNORE = 0, 19, 25
RHOST, TTY, USER = 4, 3, 2


class Message(ctypes.Structure):
    _fields_ = [('style', ctypes.c_int), ('text', ctypes.c_char_p)]


class Response(ctypes.Structure):
    _fields_ = [('text', ctypes.c_void_p), ('status', ctypes.c_int)]


CONVERSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(Message)),
                            ctypes.POINTER(ctypes.POINTER(Response)), ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_ = [('converse', CONVERSE), ('data', ctypes.c_void_p)]


@dataclass
class Login:
    """How it ended: what authenticate, acct_mgmt and open_session returned, as far as it came."""
    statuses: list = field(default_factory=list)
    user: str = ''
    said: list = field(default_factory=list)        # (style, text) in their order
    environment: dict = field(default_factory=dict)
    answered: float = 0.0       # the last message was answered: seconds of the monotonic clock
    answered_pin: float = 0.0   # ... the last one that asked for what is not to be seen
    authenticated: float = 0.0  # authenticate returned
    ended: float = 0.0

    @property
    def ok(self):
        return self.statuses == [SUCCESS] * 4


def library():
    lib, libc = ctypes.CDLL('libpam.so.0'), ctypes.CDLL(None)
    for name in ('calloc', 'strdup'):
        getattr(libc, name).restype = ctypes.c_void_p
    libc.calloc.argtypes, libc.strdup.argtypes = [ctypes.c_size_t, ctypes.c_size_t], [ctypes.c_char_p]
    lib.pam_start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    for name in ('pam_authenticate', 'pam_acct_mgmt', 'pam_setcred', 'pam_open_session', 'pam_close_session', 'pam_chauthtok', 'pam_end'):
        getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_int]
    lib.pam_set_item.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    lib.pam_get_item.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)]
    lib.pam_getenvlist.argtypes, lib.pam_getenvlist.restype = [ctypes.c_void_p], ctypes.POINTER(ctypes.c_char_p)
    return lib, libc


def log_in(service, user, answer, rhost=None):
    """answer(style, text) gives what is typed at a prompt, or None: who logs in went away."""
    lib, libc = library()
    login, handle = Login(), ctypes.c_void_p()

    def converse(count, messages, responses, _data):
        made = ctypes.cast(libc.calloc(count, ctypes.sizeof(Response)), ctypes.POINTER(Response))
        for at in range(count):
            message = messages[at].contents
            text = (message.text or b'').decode(errors='replace')
            login.said.append((message.style, text))
            if message.style in (PROMPT_ECHO_OFF, PROMPT_ECHO_ON):
                given = answer(message.style, text)
                if given is None:
                    return CONV_ERR
                made[at].text = libc.strdup(given.encode())
                if message.style == PROMPT_ECHO_OFF:
                    login.answered_pin = time.monotonic()
        responses[0] = made
        login.answered = time.monotonic()
        return SUCCESS
    conversation = Conversation(CONVERSE(converse), None)
    if lib.pam_start(service.encode(), user.encode() if user else None, ctypes.byref(conversation), ctypes.byref(handle)):
        raise OSError(f'pam_start {service}')
    if rhost:
        lib.pam_set_item(handle, RHOST, rhost.encode())
    status = SUCCESS
    for step, flags in ((lib.pam_authenticate, 0), (lib.pam_acct_mgmt, 0), (lib.pam_setcred, 2), (lib.pam_open_session, 0)):
        status = step(handle, flags)
        login.statuses.append(status)
        if step is lib.pam_authenticate:
            login.authenticated = time.monotonic()
        if status:
            break
    login.ended = time.monotonic()
    found = ctypes.c_void_p()
    if lib.pam_get_item(handle, USER, ctypes.byref(found)) == SUCCESS and found.value:
        login.user = ctypes.string_at(found.value).decode(errors='replace')
    listed, at = lib.pam_getenvlist(handle), 0
    while listed and listed[at]:
        name, _, value = listed[at].decode(errors='replace').partition('=')
        login.environment[name] = value
        at += 1
    if login.ok:
        lib.pam_close_session(handle, 0)
    lib.pam_end(handle, status)
    return login
