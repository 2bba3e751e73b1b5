#!/usr/bin/python3
"""test_unit_login.py BUILD: a login through the installed units, in a booted systemd: run among the rig's servers."""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

import booted
from booted import Booted

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'rig'))
import ccache  # noqa: E402
import rig as rig_module  # noqa: E402
from rig import PIN, WRONG_PIN, Rig  # noqa: E402
from terminal import Terminal  # noqa: E402

BUILD = Path()
TREE = Path()
ALICE = ('alice', 10001, 10000)
PASSWORD = 'Correct horse 9'
PLIST = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
	<key>AttributeMapping</key><dict>
		<key>fields</key><array><string>NT Principal Name</string></array>
		<key>formatString</key><string>$1</string>
		<key>dsAttributeString</key><string>dsAttrTypeStandard:EMailAddress</string>
	</dict>
	<key>NotEnforcedGroup</key><string>engineering</string>
</dict></plist>
"""
SERVICES = ('cardmapd.service', 'cardmap-resolver.service', 'cardmap-card@.service')
LIBRARIES = f'/usr/lib/{os.uname().machine}-linux-gnu'
OPENSC = f'{LIBRARIES}/opensc-pkcs11.so'
SOFTHSM = f'{LIBRARIES}/softhsm/libsofthsm2.so'
TOKEN = '/usr/lib/rig-token'
NO_PIV = 'sw=6a82@insa4'


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.computer = computer = Booted(TREE)
        cls.addClassCleanup(computer.end)
        cls.configure(Rig.attach(), computer.root)
        for unit in SERVICES:
            computer.drop_in(unit, '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n')
        booted.run('systemctl', f'--root={computer.root}', 'mask', 'pcscd.socket', 'pcscd.service')  # the rig's is there
        booted.run('systemctl', f'--root={computer.root}', '--global', 'enable', 'cardmap-renew.timer')
        computer.drop_in('cardmap-renew.service', '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n', 'user')
        computer.boot('--bind=/run/pcscd')

    @classmethod
    def configure(cls, rig, root):
        """What an administrator writes, and a host that was joined has."""
        folder = root / 'etc/cardmap'
        folder.mkdir(exist_ok=True)
        for name in ('root.crt', 'inter.crt'):
            shutil.copy(rig.pki / name, folder / name)
        shutil.copy(rig.work / 'krb5.conf', root / 'etc/krb5.conf')
        text = (root / 'etc/krb5.conf').read_text(encoding='ascii').replace(f'{rig.pki}/', '/etc/cardmap/')
        (root / 'etc/krb5.conf').write_text(text, encoding='ascii')
        shutil.copy(rig.keytab, root / 'etc/krb5.keytab')
        (root / 'etc/krb5.keytab').chmod(0o600)
        secret = folder / 'bind.password'
        secret.write_text(rig_module.people.READER_PASSWORD, encoding='ascii')
        secret.chmod(0o400)
        users = (root / 'etc/passwd').read_text(encoding='utf-8')
        os.chown(secret, int(re.search(r'^_cardmap:[^:]*:(\d+):', users, re.M)[1]), 0)
        conf = folder / 'cardmap.conf'
        rig.conf({
            'directory.bind_password_file': '/etc/cardmap/bind.password', 'directory.ca': '/etc/cardmap/root.crt',
            'trust.anchors': ['/etc/cardmap/root.crt'], 'trust.intermediates': ['/etc/cardmap/inter.crt'],
            'kerberos.config': None, 'kerberos.anchors': ['/etc/cardmap/root.crt'],
            'kerberos.intermediates': ['/etc/cardmap/inter.crt'], 'kerberos.keytab': None, 'kerberos.ccache': None,
            'accounts.path': None, 'mapper.plist': None, 'accounts.userdb': None, 'service.log': 'stderr', 'service.greeters': ['cardmap']}, conf)
        conf.chmod(0o644)

    def tell(self, said):
        return f'{said}\n' + self.computer.inside('journalctl', '--no-pager', '-b', '-u', 'cardmap*', check=False).stdout[-6000:]

    def login(self, *prefix, pin=PIN, check=True):
        """prefix: what runs it in there; else a process of no session, which service.greeters lets in."""
        with tempfile.NamedTemporaryFile('w', dir=self.computer.path('/run')) as file:
            file.write(f'{pin}\n')
            file.flush()
            command = f'exec /usr/bin/cardmap login --json --pin-fd 3 {ALICE[0]} 3</run/{Path(file.name).name}'
            done = self.computer.inside(*prefix, 'env', 'ASAN_OPTIONS=detect_leaks=0', 'sh', '-c', command, check=False)
        if check and done.returncode != 0:
            self.fail(self.tell(done.stdout + done.stderr))
        return json.loads(done.stdout)

    def test_login(self):
        """By all processes as the units have them: the ticket is the user's, where users see it, and root's keytab judged it."""
        answer = self.login()
        self.assertEqual((answer['account']['name'], answer['offline'], answer['warnings']), (ALICE[0], False, []), self.tell(answer))
        self.assertEqual(answer['ccache'], f'FILE:/tmp/krb5cc_{ALICE[1]}', answer)
        path = self.computer.path(f'/tmp/krb5cc_{ALICE[1]}')
        found = path.lstat()
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (ALICE[1], ALICE[2], 0o600))
        listed = self.computer.inside('setpriv', f'--reuid={ALICE[1]}', f'--regid={ALICE[2]}', '--clear-groups',
                                      'klist', '-c', f'FILE:/tmp/krb5cc_{ALICE[1]}').stdout
        self.assertIn('Default principal: alice@CARDMAP.TEST', listed)
        self.assertEqual(self.computer.show('cardmapd.service', 'NRestarts'), '0')
        self.assertEqual(self.computer.systemctl('list-units', '--plain', '--no-legend', '--failed', 'cardmap*'), '')
        again = self.login()
        self.assertEqual(again['account']['name'], ALICE[0])

    def change_configuration(self, more='', **changes):
        """As an administrator does: in the file, and the service is started anew."""
        path = self.computer.path('/etc/cardmap/managed.d')
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        lines = (f'enforcement {{ {key} = {value} }}\n' for key, value in changes.items())
        (path / '50-test.conf').write_text(''.join(lines) + more, encoding='ascii')
        (path / '50-test.conf').chmod(0o644)
        self.computer.systemctl('reset-failed', 'cardmapd.service')
        self.computer.systemctl('restart', 'cardmapd.service', check=False)
        self.assertEqual(self.computer.show('cardmapd.service', 'ActiveState'), 'active', self.tell(more))

    def sessions(self):
        """Those that logind has, by their users."""
        listed = self.computer.inside('loginctl', '--no-legend', 'list-sessions').stdout
        return {line.split()[2]: line.split()[0] for line in listed.splitlines()}

    def status(self):
        return json.loads(self.computer.inside('env', 'ASAN_OPTIONS=detect_leaks=0', 'cardmap', 'status', '--json').stdout)

    def wait(self, condition, what):
        try:
            return booted.wait_until(condition, what)
        except booted.BootError as error:
            self.fail(self.tell(f'{error}\n{self.sessions()}\n{self.status()}'))

    def have_records(self):
        """Of alice, where no login was before that made them."""
        userdb = self.computer.path('/etc/userdb')
        userdb.mkdir(exist_ok=True)
        name, uid, gid = ALICE
        if (userdb / f'{name}.user').exists():
            return
        (userdb / f'{name}.user').write_text(json.dumps(
            {'userName': name, 'uid': uid, 'gid': gid, 'homeDirectory': '/', 'shell': '/bin/sh'}), encoding='ascii')
        (userdb / f'{name}.group').write_text(json.dumps({'groupName': name, 'gid': gid}), encoding='ascii')
        for link, to in ((f'{uid}.user', f'{name}.user'), (f'{gid}.group', f'{name}.group')):
            (userdb / link).symlink_to(to)

    def open_desk(self):
        """A session of alice's at the seat, which her card unlocks."""
        (self.computer.path('/etc/pam.d/cardmap-test')).write_text('session required pam_systemd.so\n', encoding='ascii')
        self.have_records()
        switch = self.computer.path('/etc/nsswitch.conf')
        switch.write_text('passwd: files systemd\ngroup: files systemd\n', encoding='ascii')
        pin = self.computer.path('/run/desk.pin')
        pin.write_text(f'{PIN}\n', encoding='ascii')
        pin.chmod(0o644)
        self.computer.inside(
            'systemd-run', '--quiet', '--collect', f'--unit=desk-{os.urandom(4).hex()}', '--property=PAMName=cardmap-test',
            f'--property=User={ALICE[0]}', '--property=Environment=XDG_SESSION_TYPE=x11', '--property=Environment=XDG_SEAT=seat0',
            '--property=Environment=ASAN_OPTIONS=detect_leaks=0', '--property=StandardOutput=file:/run/desk.answer', 'sh', '-c',
            'cardmap login --json --pin-fd 3 alice 3</run/desk.pin; exec sleep infinity')
        return self.wait(lambda: next((one for one in self.status()['sessions'] if 'session' in one), None), 'a session by the card')

    def card_is(self, state):
        return lambda: any(card['state'] == state for card in self.status()['cards'])

    def test_taken_out(self):
        """A real logind ends the session that the card unlocked: not while it may be put back, also of a service started anew."""
        rig = Rig.attach()
        self.addCleanup(rig.card, 'alice-rsa2048')
        self.change_configuration(removal='logout', removal_grace=600000)
        desk = self.open_desk()
        self.assertEqual((desk['user'], desk['away'], desk['session']), ('alice', False, self.sessions()['alice']))
        rig.stop('card')
        self.wait(lambda: self.status()['sessions'][0]['away'], 'the card to be missed')
        rig.start('card')
        self.wait(lambda: not self.status()['sessions'][0]['away'], 'the card to be known again')
        self.change_configuration(removal='logout', removal_grace=3000)
        self.assertEqual([one['session'] for one in self.status()['sessions']], [desk['session']], 'forgotten by the restart')
        self.wait(lambda: not self.status()['sessions'][0]['away'], 'the card to be found by the service started anew')
        # another card of hers in its place is not it
        rig.card('alice-p256')
        self.wait(lambda: 'alice' not in self.sessions(), 'the end of the session')
        self.assertIn(f'removal ok: the card was taken out: session {desk["session"]} ends;', self.tell(''))
        self.wait(lambda: self.status()['sessions'] == [], 'the session to be forgotten')

    def test_locked(self):
        """The signal that a screen locker waits for."""
        rig = Rig.attach()
        self.addCleanup(rig.card, 'alice-rsa2048')
        self.change_configuration(removal='lock', removal_grace=0)
        desk = self.open_desk()
        with subprocess.Popen(self.computer.command('gdbus', 'monitor', '--system', '--dest', 'org.freedesktop.login1'),
                              stdout=subprocess.PIPE, text=True) as monitor:
            try:
                for line in monitor.stdout:
                    if 'is owned by' in line:
                        break
                rig.stop('card')
                signal = next(line for line in monitor.stdout if 'Session.Lock' in line)
            finally:
                monitor.kill()
        path = self.computer.inside('busctl', 'call', '--system', 'org.freedesktop.login1', '/org/freedesktop/login1',
                                    'org.freedesktop.login1.Manager', 'GetSession', 's', desk['session']).stdout
        self.assertEqual(signal.split(':')[0], path.split('"')[1])
        self.assertEqual(self.sessions()['alice'], desk['session'])
        self.computer.inside('loginctl', 'terminate-session', desk['session'])

    def as_alice(self, *command, check=True):
        return self.computer.inside('setpriv', f'--reuid={ALICE[1]}', f'--regid={ALICE[2]}', '--clear-groups', 'env', 'ASAN_OPTIONS=detect_leaks=0',
                                    f'XDG_RUNTIME_DIR=/run/user/{ALICE[1]}', *command, check=check).stdout.strip()

    def test_renewed(self):
        """The timer of her own service manager runs since her session began; what it starts renews a ticket that is due."""
        self.change_configuration(removal='logout', removal_grace=600000)
        desk = self.open_desk()
        manager = ('systemctl', '--user', '--no-pager')
        self.wait(lambda: self.as_alice(*manager, 'is-active', 'cardmap-renew.timer', check=False) == 'active', "alice's timer")
        path = self.computer.path(f'/tmp/krb5cc_{ALICE[1]}')
        expires = json.loads(self.as_alice('cardmap', 'login', '--renew', '--due', '--json'))['expires']
        expires = int(datetime.strptime(expires, '%Y-%m-%d %H:%M:%S UTC').replace(tzinfo=timezone.utc).timestamp())
        ccache.age(path, expires, 20 * 3600)
        before = path.read_bytes()
        self.as_alice(*manager, 'start', 'cardmap-renew.service')
        self.assertEqual(self.as_alice(*manager, 'show', '--value', '-p', 'Result', 'cardmap-renew.service'), 'success')
        self.assertNotEqual(path.read_bytes(), before)
        self.assertIn('alice@CARDMAP.TEST', self.as_alice('klist', '-c', f'FILE:/tmp/krb5cc_{ALICE[1]}'))
        said = self.computer.inside('journalctl', '--no-pager', '-b', '_SYSTEMD_USER_UNIT=cardmap-renew.service').stdout
        self.assertRegex(said, r'ticket +alice@CARDMAP\.TEST until ')
        path.unlink()
        self.as_alice(*manager, 'start', 'cardmap-renew.service')   # nothing to renew is no failure
        self.assertEqual(self.as_alice(*manager, 'is-failed', 'cardmap-renew.service', check=False), 'inactive')
        self.computer.inside('loginctl', 'terminate-session', desk['session'])
        self.wait(lambda: self.status()['sessions'] == [], 'the session to be forgotten')

    def test_property_list(self):
        """SmartcardLogin.plist as it stands: read by a process of the service's own, without privilege, in the unit's sandbox."""
        plist = self.computer.path('/etc/cardmap/SmartcardLogin.plist')
        self.addCleanup(self.change_configuration, removal='none')
        self.addCleanup(plist.unlink)
        for text, code in ((PLIST, None), ('<plist><dict>', '78')):
            plist.write_text(text, encoding='ascii')
            plist.chmod(0o644)
            if code is None:
                self.change_configuration(required='yes', allow_unmapped_users='yes')
                ask = ('env', 'ASAN_OPTIONS=detect_leaks=0', 'cardmap', 'enforcement', 'explain', ALICE[0], '--json')
                said = self.computer.inside(*ask, check=False).stdout
                self.assertIn('engineering', said, self.tell(said))
            else:
                self.computer.systemctl('restart', 'cardmapd.service', check=False)
                self.assertEqual(self.computer.show('cardmapd.service', 'ExecMainStatus'), code)

    def test_pairing(self):
        """The password is judged by unix_chkpwd(8), which is enough of a program for cardmapd's sandbox."""
        rig = Rig.attach()
        self.addCleanup(rig.card, 'alice-rsa2048')
        hashed = subprocess.run(['openssl', 'passwd', '-6', '-stdin'], input=PASSWORD, capture_output=True, text=True, check=True).stdout.strip()
        for name, line in (('passwd', 'lena:x:4242:4242::/:/bin/sh'), ('group', 'lena:x:4242:'), ('shadow', f'lena:{hashed}:20000:0:99999:7:::')):
            with open(self.computer.path(f'/etc/{name}'), 'a', encoding='utf-8') as file:
                file.write(f'{line}\n')
        self.computer.inside('env', 'ASAN_OPTIONS=detect_leaks=0', 'cardmap', 'pairing-ui', 'on')
        rig.card('carol')
        self.wait(self.card_is('refused'), 'a card that opens nothing')
        at_seat = ('systemd-run', '--quiet', '--pty', '--wait', '--collect', '--property=PAMName=cardmap-test', '--property=User=lena',
                   '--property=Environment=XDG_SESSION_TYPE=x11', '--property=Environment=XDG_SEAT=seat0',
                   '--property=Environment=ASAN_OPTIONS=detect_leaks=0', 'cardmap', 'pair')
        self.computer.path('/etc/pam.d/cardmap-test').write_text('session required pam_systemd.so\n', encoding='ascii')
        for password, status in (('Wrong horse 9', 3), (PASSWORD, 0)):
            terminal = Terminal(self.computer.command(*at_seat), {'TERM': 'dumb'})
            self.addCleanup(terminal.kill)
            terminal.enter(rb'PIN for [^\r\n]*: ?$', PIN)
            terminal.enter(rb'Password of lena on this computer: ?$', password)
            ended, text = terminal.end()
            self.assertEqual(ended, status, self.tell(text))
        self.wait(self.card_is('ready'), 'the card to open an account')

    def whois(self, uid):
        """Whose card alice's is, as this user is told; None: not told."""
        card = self.computer.path('/run/card.pem')
        shutil.copy(Rig.attach().pki / 'alice-rsa2048.pem', card)
        card.chmod(0o644)
        ask = ('env', 'ASAN_OPTIONS=detect_leaks=0', 'cardmap', 'whois', '--json', '--card', 'file:/run/card.pem')
        done = self.computer.inside('setpriv', f'--reuid={uid}', '--regid=10000', '--clear-groups', *ask, check=False)
        return json.loads(done.stdout).get('account', {}).get('name')

    def test_whois(self):
        """Through the resolver's own socket."""
        for uid, may in ((0, True), (ALICE[1], True), (ALICE[1] + 1, False)):  # the resolver sees who asks
            self.assertEqual(self.whois(uid), ALICE[0] if may else None, self.tell(uid))

    def impatient(self, unit):
        """A watchdog that a test can wait for, of this unit as it is started from now."""
        path = self.computer.path(f'/run/systemd/system/{unit}.d/watchdog.conf')
        path.parent.mkdir(parents=True)
        path.write_text('[Service]\nWatchdogSec=3\n', encoding='ascii')

        def patient():
            shutil.rmtree(path.parent)
            self.computer.systemctl('daemon-reload')
            self.computer.systemctl('restart', unit)
        self.addCleanup(patient)
        self.computer.systemctl('daemon-reload')
        self.computer.systemctl('restart', unit)

    def test_watchdogs(self):
        """One that gives signs of life is let be; one that hangs is ended and another takes its place, for who asks next."""
        for unit in ('cardmap-resolver.service', 'cardmapd.service'):
            with self.subTest(unit):
                self.impatient(unit)
                pid = self.computer.process(unit)
                restarts = int(self.computer.show(unit, 'NRestarts'))
                began = self.computer.show(unit, 'WatchdogTimestampMonotonic')
                self.wait(lambda: self.computer.show(unit, 'WatchdogTimestampMonotonic') != began, 'a sign of life')
                self.assertEqual(self.computer.process(unit), pid)
                os.kill(pid, signal.SIGSTOP)
                self.wait(lambda: int(self.computer.show(unit, 'NRestarts')) == restarts + 1, 'the watchdog')
                self.assertIn('atchdog', self.computer.journal(unit))
                self.assertEqual(self.whois(ALICE[1]), ALICE[0])
                self.assertEqual(self.login()['account']['name'], ALICE[0])
                self.assertNotIn(self.computer.process(unit), (None, pid))

    def test_wrong_pin(self):
        answer = self.login(pin=WRONG_PIN, check=False)
        self.assertEqual(answer['reason'], 'pin_wrong', answer)
        self.assertEqual(self.login()['account']['name'], ALICE[0])

    def in_session(self, *settings):
        """What runs a program in a session that logind knows, as a service of it is begun by PAM."""
        (self.computer.path('/etc/pam.d/cardmap-test')).write_text('session required pam_systemd.so\n', encoding='ascii')
        environment = (f'--property=Environment={setting}' for setting in settings)
        return ('systemd-run', '--quiet', '--pipe', '--wait', '--property=PAMName=cardmap-test', '--property=User=root', *environment)

    def test_seat(self):
        """cardmapd in its sandbox sees whose session its caller is in: root's at no seat gets nowhere, at the seat it does."""
        nowhere = self.login(*self.in_session('XDG_SESSION_TYPE=tty'), check=False)
        self.assertEqual(nowhere['reason'], 'not_here', nowhere)
        self.assertIn('has no seat', nowhere['message'])
        here = self.login(*self.in_session('XDG_SESSION_TYPE=x11', 'XDG_SEAT=seat0'), check=False)
        self.assertEqual(here.get('account', {}).get('name'), ALICE[0], self.tell(here))


    # -- PKCS #11 modules: in the card helper, in its unit's sandbox

    def use_modules(self, *modules, **more):
        settings = {'modules': list(modules), **more}
        lines = ''.join(f'  {key} = {rig_module.conf_value(value)}\n' for key, value in settings.items())
        self.change_configuration(f'card {{\n{lines}}}\n')
        self.addCleanup(self.change_configuration)

    def loaded(self):
        """Those modules that a card helper has in it now."""
        units = self.computer.systemctl('list-units', '--plain', '--no-legend', '--state=running', 'cardmap-card@*')
        found = set()
        for pid in filter(None, (self.computer.process(line.split()[0]) for line in units.splitlines())):
            text = Path(f'/proc/{pid}/maps').read_text(encoding='utf-8')
            found |= {name for name in (OPENSC, SOFTHSM, f'{TOKEN}/module.so') if name in text}
        return found

    def make_token(self):
        """The rig's own, with alice's certificate; nobody but root may have put it there."""
        folder = self.computer.path(TOKEN)
        folder.mkdir(mode=0o755)
        shutil.copy(os.environ['CM_TOKEN_MODULE'], folder / 'module.so')
        for form in ('crt', 'key'):
            shutil.copy(Rig.attach().pki / f'alice-rsa2048.{form}', folder / f'1.{form}')
        for name, text in (('pin', PIN), ('state', '3 0 0 0\n'), ('conf', f'reader {rig_module.READER}\n')):
            (folder / name).write_text(text, encoding='ascii')
        for path in folder.iterdir():
            path.chmod(0o644)
        self.addCleanup(shutil.rmtree, folder)

    def make_softhsm(self):
        """As its administrator lets the card helper's user have it; none of its slots is a reader."""
        folder = self.computer.path('/var/lib/softhsm/tokens')
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, folder.parent, self.computer.path('/etc/softhsm'), self.computer.path('/etc/softhsm/softhsm2.conf')):
            path.chmod(0o755)

    def test_opensc(self):
        """It drives the card's PIV application, where that is not ours to drive; beside it a module that knows no card here."""
        self.make_softhsm()
        self.use_modules(SOFTHSM, OPENSC, disabled=['com.apple.CryptoTokenKit.pivtoken'])
        self.wait(self.card_is('ready'), 'the card to be read by the module')
        self.assertEqual(self.loaded(), {SOFTHSM, OPENSC})
        self.assertEqual(self.login()['account']['name'], ALICE[0])
        self.assertEqual(self.login(pin=WRONG_PIN, check=False)['reason'], 'pin_wrong')
        self.assertEqual(self.login()['account']['name'], ALICE[0])

    def test_card_without_piv(self):
        rig = Rig.attach()
        self.addCleanup(rig.card, 'alice-rsa2048')
        self.make_token()
        self.make_softhsm()
        rig.card('alice-rsa2048', faults=NO_PIV)
        for module, reason in ((SOFTHSM, 'card_not_piv'), (f'{TOKEN}/none.so', 'card_module')):
            self.use_modules(module)
            self.wait(self.card_is('refused'), 'a card that nobody knows')
            answer = self.login(check=False)
            self.assertEqual(answer.get('reason'), reason, self.tell(answer))
        self.use_modules(SOFTHSM, f'{TOKEN}/module.so')
        self.wait(self.card_is('ready'), 'the card to be read by the module')
        self.assertEqual(self.loaded(), {SOFTHSM, f'{TOKEN}/module.so'})
        answer = self.login()
        self.assertEqual((answer['account']['name'], answer['offline'], answer['warnings']), (ALICE[0], False, []), self.tell(answer))
        self.assertTrue(self.computer.path(f'/tmp/krb5cc_{ALICE[1]}').exists())


def main():
    global BUILD, TREE
    BUILD = Path(sys.argv.pop(1)).resolve()
    if not booted.can():
        sys.exit(77)
    with tempfile.TemporaryDirectory(dir='/run') as folder:
        TREE = Path(folder)
        TREE.chmod(0o755)
        booted.install(BUILD, TREE)
        unittest.main(argv=sys.argv, verbosity=2)


if __name__ == '__main__':
    main()
