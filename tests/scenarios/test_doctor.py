#!/usr/bin/python3
"""test_doctor.py: cardmap doctor: each line is made to fail in turn, and says what mends it; cards status and its export."""
import os
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import scenario
from scenario import PIN, Scenario, clock, plain, said, wait_until

import away
import computer
import rig as rig_module

STACK = 'auth [success=end ignore=ignore default=die] pam_cardmap.so\nauth required pam_unix.so\n' \
    'account [success=ok ignore=ignore default=die] pam_cardmap.so\n'
NSS = 'passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\n'


# Beside cardmap's own, whose commands are looked up in what it says of itself.
OTHERS = ('systemctl', 'timedatectl', 'systemd-tmpfiles', 'mount', 'df', 'chown', 'kadmin', 'pam-auth-update', 'sudoedit', 'rm', 'ip')


def commands():
    """{command: the words that may follow}, as the completion script has them."""
    script = said([scenario.program(), 'completion'])
    return {name: set(words.split()) for name, words in re.findall(r"(?m)^\t([a-z-]+)\) words='([^']*)' ;;$", script)}


def check_remedy(test, remedy):
    """It names a command, and there is such a one."""
    own = re.findall(r'\bcardmap ([a-z-]+)((?: [a-z-]+)*)', remedy)
    known = commands()
    for name, words in own:
        test.assertIn(name, known, remedy)
        word = words.split()[:1]
        if word and {'list', 'status', 'show', 'check', 'add', 'unblock', 'verify', 'refresh'} & known[name]:
            test.assertIn(word[0].rstrip(','), known[name] | {'shows', 'tells', 'ends', 'and'}, remedy)
    for option in re.findall(r'--[a-z-]+', remedy) if own else ():
        test.assertTrue(any(option in known[name] for name, _ in own), remedy)
    test.assertTrue(own or any(re.search(rf'\b{name}\b', remedy) for name in OTHERS), remedy)


def setUpModule():
    computer.own_etc()
    shutil.rmtree('/etc/pam.d')
    Path('/etc/pam.d').mkdir()


class DoctorTest(Scenario):
    card = 'alice-rsa2048'

    def setUp(self):
        super().setUp()
        self.settings = {'trust.level': 'chain', 'card.timeout': 5000}
        Path('/etc/pam.d/common-auth').write_text(STACK)
        Path('/etc/nsswitch.conf').write_text(NSS)
        self.ask('login', card=None, pin=PIN)

    def doctor(self, *arguments, **options):
        """{check: the worst of its lines}; each that is not ok names what mends it."""
        answer = self.ask('doctor', *arguments, card=None, status=None, **options)
        order = ('ok', 'warning', 'failure')
        found = {}
        for line in answer.json['checks']:
            self.assertEqual('remedy' in line, line['level'] != 'ok', line)
            if 'remedy' in line:
                check_remedy(self, line['remedy'])
            before = found.get(line['check'])
            if before is None or order.index(line['level']) > order.index(before['level']):
                found[line['check']] = line
        self.assertEqual(answer.json['worst'], max((line['level'] for line in found.values()), key=order.index))
        self.assertEqual(answer.status, {'ok': 0, 'warning': 1, 'failure': 3}[answer.json['worst']])
        return found

    @staticmethod
    def end_of(certificate):
        """notAfter, UTC."""
        text = said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{certificate}.crt', '-noout', '-enddate'])
        return datetime.strptime(text.strip(), 'notAfter=%b %d %H:%M:%S %Y GMT').replace(tzinfo=timezone.utc)

    def level_at(self, when, check, level, text='', **options):
        """As level(), with this computer's clock at that time."""
        if not isinstance(when, str):
            when = f'+{int((when - datetime.now(timezone.utc)).total_seconds())}'
        self.level(check, level, text, binary=plain(), wrapper=clock(when), **options)

    def level(self, check, level, text='', **options):
        """Of the worst of its lines."""
        line = self.doctor(**options)[check]
        self.assertEqual(line['level'], level, line)
        self.assertIn(text, line['text'])

    def test_after_a_login_with_the_network_all_is_well_but_the_service_that_does_not_run(self):
        found = self.doctor()
        self.assertEqual({check for check, line in found.items() if line['level'] == 'failure'}, {'service'}, found)
        self.assertLessEqual({check for check, line in found.items() if line['level'] == 'warning'}, {'clock'}, found)
        self.assertEqual(set(found), {'clock', 'disk', 'permissions', 'keytab', 'service', 'pam', 'nss', 'account', 'evidence',
                                      'certificate', 'ca', 'ticket', 'pcscd', 'reader', 'card', 'server'})
        self.assertIn('alice', found['account']['text'])
        self.assertIn('systemctl start cardmapd.socket', found['service']['remedy'])

    def test_another_user_is_not_kept(self):
        self.assertEqual(self.doctor('bob')['account']['level'], 'failure')
        self.assertEqual(self.doctor('alice')['account']['level'], 'ok')

    def test_what_is_kept(self):
        self.level('account', 'failure', 'offline_days', more={'accounts.offline_days': 1})
        self.level('account', 'warning', more={'accounts.offline_days': 2})
        self.level('evidence', 'failure', 'revocation_', more={'trust.level': 'hard'})
        self.level('ca', 'failure', more={'trust.anchors': self.empty()})
        self.level('evidence', 'failure', 'no login is possible', more={'trust.anchors': self.empty()})
        self.level('ca', 'warning', 'off', more={'trust.level': 'off'})

    def empty(self):
        folder = self.folder / 'empty'
        folder.mkdir(exist_ok=True)
        return folder

    def test_files(self):
        self.store.chmod(0o644)
        self.level('permissions', 'failure', 'others')
        self.store.chmod(0o600)
        self.level('permissions', 'ok')
        self.level('permissions', 'failure', 'nothing is kept', more={'accounts.path': self.empty() / 'accounts.db'})
        keytab = self.folder / 'host.keytab'
        self.level('keytab', 'warning', 'No such file', more={'kerberos.keytab': keytab})
        shutil.copy(scenario.RIG.keytab, keytab)
        keytab.chmod(0o644)
        self.level('keytab', 'failure', 'others', more={'kerberos.keytab': keytab})
        [ticket] = (self.folder / 'tickets').iterdir()
        os.chown(ticket, 0, 0)
        self.level('ticket', 'failure', ticket.name)

    def test_the_clock(self):
        """adjtimex(2) says whether anything keeps it right."""
        tell = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=adjtimex,clock_adjtime', '-e']
        self.level('clock', 'ok', 'UTC', binary=plain(), wrapper=[*tell, 'inject=adjtimex,clock_adjtime:retval=0'])
        self.level('clock', 'warning', 'no time server', binary=plain(), wrapper=[*tell, 'inject=adjtimex,clock_adjtime:retval=5'])
        self.level_at('-2d', 'clock', 'failure', 'what is kept does not count')

    def test_what_expires(self):
        day = timedelta(days=1)
        card, ca = self.end_of('alice-rsa2048'), self.end_of('inter')
        for check, end in (('certificate', card), ('ca', ca)):
            self.level_at(end - 20 * day, check, 'ok')
            self.level_at(end - 7 * day, check, 'warning', 'expires')
            self.level_at(end - day / 2, check, 'failure', 'expires')
            self.level_at(end + day, check, 'failure', 'expired')
        self.level_at(card - day / 2, 'evidence', 'failure', 'cert_expired', more={'accounts.offline_days': 0})
        # it opens tomorrow, and not the day after
        self.level('evidence', 'warning', 'until', more={'accounts.offline_days': 2})

    def test_the_disk(self):
        folder = self.empty()
        said(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'small', folder])
        self.addCleanup(said, ['umount', folder])
        self.level('disk', 'warning', 'KiB', more={'accounts.path': folder / 'accounts.db'})
        with open(folder / 'filler', 'wb') as file:
            file.write(bytes(1000 << 10))
        self.level('disk', 'failure', 'full', more={'accounts.path': folder / 'accounts.db'})
        said(['mount', '-o', 'remount,ro', folder])
        self.level('disk', 'failure', more={'accounts.path': folder / 'accounts.db'})

    def test_the_stacks_of_pam(self):
        path = Path('/etc/pam.d/common-auth')
        for text, level in ((STACK.replace('default=die', 'default=ignore', 1), 'failure'),
                            ('auth sufficient pam_unix.so\n' + STACK, 'failure'), ('', 'failure'), ('# ' + STACK.replace('\n', '\n# '), 'failure'),
                            (STACK.partition('account')[0], 'warning'), (STACK, 'ok')):
            path.write_text(text)
            self.level('pam', level)

    def test_the_order_of_names(self):
        path = Path('/etc/nsswitch.conf')
        for text, level in (('passwd: files\n', 'failure'), ('passwd:\tsystemd files\n', 'warning'), (NSS, 'ok'), ('', 'failure')):
            path.write_text(text)
            self.level('nss', level)
        path.write_text('passwd: files\n')
        self.level('nss', 'ok', more={'accounts.mobile': 'off'})

    def test_the_card_and_its_tries_of_which_none_is_spent(self):
        with scenario.Counts() as seen:
            self.level('card', 'ok', '3 PIN tries')
        self.assertEqual(seen.verifies(), 0)
        self.control('tries 1')
        self.level('card', 'warning', 'one PIN try')
        self.control('tries 0')
        self.level('card', 'failure', 'no PIN tries')
        self.assertIn('pin unblock', self.doctor()['card']['remedy'])
        self.control('remove')
        wait_until(lambda: not rig_module.card_is_in(scenario.RIG), 'the card to be out')
        self.level('card', 'warning', 'no card')
        self.control('insert')

    def test_no_pcscd(self):
        self.assertEqual([self.doctor()[name]['level'] for name in ('pcscd', 'reader')], ['ok', 'ok'])
        found = self.doctor(env={'PCSCLITE_CSOCK_NAME': str(self.folder / 'nobody')})
        self.assertEqual((found['pcscd']['level'], found['reader']['level']), ('failure', 'failure'))

    def test_a_reader_that_is_not_there(self):
        """pcscd runs, and has none; then it is plugged in."""
        config = rig_module.WORK / 'pcscd/vpcd'
        aside = rig_module.WORK / 'vpcd.aside'
        scenario.RIG.stop('card', 'pcscd')
        config.rename(aside)
        command = ['pcscd', '-f', '--info', '-c', config.parent]
        scenario.RIG.launch('pcscd', command, lambda: 'daemon ready' in scenario.RIG.log('pcscd').read_text())
        found = self.doctor()
        self.assertEqual((found['pcscd']['level'], found['reader']['level']), ('ok', 'failure'))
        self.assertIn('no reader is connected', found['reader']['text'])
        self.assertIn('plug a reader in', found['reader']['remedy'])
        self.assertNotIn('card', found)
        scenario.RIG.stop('pcscd')
        aside.rename(config)
        self.use_reader()
        self.assertEqual({name: self.doctor()[name]['level'] for name in ('pcscd', 'reader', 'card')}, {'pcscd': 'ok', 'reader': 'ok', 'card': 'ok'})

    def test_servers_that_are_silent_are_asked_all_at_once_and_not_waited_for(self):
        self.level('server', 'ok')
        scenario.RIG.freeze('slapd', 'kdc')
        answer = self.ask('doctor', card=None, status=None, more={'directory.timeout': 30000, 'kerberos.timeout': 30000})
        lines = [line for line in answer.json['checks'] if line['check'] == 'server']
        self.assertEqual([line['level'] for line in lines], ['warning', 'warning'])
        for line in lines:
            self.assertIn('no answer within 150 ms; a login waits 30000 ms', line['text'])
        self.assertLess(answer.seconds, 15)
        scenario.RIG.thaw('slapd', 'kdc')

    def test_packets_that_vanish(self):
        """However many there are: all are asked at once, and none for longer than it says."""
        gone = f'{rig_module.DROPPED}'
        answer = self.ask('doctor', card=None, status=None, more={
            'directory.uri': [f'ldap://{gone}:{port}' for port in range(3000, 3008)], 'kerberos.kdc': [gone],
            'trust.ocsp_url': [f'http://{gone}/'], 'directory.timeout': 30000})
        lines = [line for line in answer.json['checks'] if line['check'] == 'server']
        self.assertEqual([line['level'] for line in lines], ['warning'] * 10)
        for line in lines:
            self.assertIn('no answer within 150 ms', line['text'])
            check_remedy(self, line['remedy'])
        self.assertLess(answer.seconds, 15)

    def test_refused(self):
        self.level('server', 'warning', 'ECONNREFUSED; a login does not wait for it', more={'kerberos.kdc': ['127.0.0.1:1']})

    def test_the_cable_is_out(self):
        """Nothing can be sent there: it is this computer that is to be seen to, and what is there already answers."""
        cable = away.Away()
        self.addCleanup(cable.end)
        self.level('server', 'ok', 'answers in', more=cable.values())
        cable.plug('down')
        found = self.doctor(more={**cable.values(), 'directory.timeout': 30000, 'kerberos.timeout': 30000})
        self.assertEqual(found['server']['level'], 'warning')
        self.assertRegex(found['server']['text'], r'^\S+: no network of this computer leads there: ENETUNREACH; a login does not wait for it$')
        self.assertIn('connect this computer to that network', found['server']['remedy'])
        self.assertEqual(found['evidence']['level'], 'ok')
        cable.plug('up')
        self.level('server', 'ok', 'answers in', more=cable.values())
        self.level('server', 'warning', 'its name is not', more={'directory.uri': ['ldap://nobody.cardmap.test:389']})


class CardsStatusTest(Scenario):
    card = 'alice-rsa2048'

    def read_drivers(self):
        """The reader of this rig where pcscd looks for those that are no USB's; its library."""
        file = Path('/etc/reader.conf.d/vpcd')
        file.parent.mkdir(exist_ok=True)
        file.write_text('#LIBPATH /nowhere.so\n' + (rig_module.WORK / 'pcscd/vpcd').read_text())
        return re.search(r'(?m)^LIBPATH (.*)$', file.read_text())[1]

    def test_drivers_tries_usage_and_the_hash_that_pairing_goes_by(self):
        library = self.read_drivers()
        answer = self.cardmap('cards', '--config', self.conf(), '--json', 'status').json
        [reader] = [reader for reader in answer['readers'] if reader['card_present']]
        first = reader['certificates'][0]
        self.assertNotIn('/nowhere.so', str(answer['reader_drivers']))
        key = said(['openssl', 'x509', '-in', scenario.RIG.pki / 'alice-rsa2048.crt', '-noout', '-pubkey'])
        pem = self.folder / 'key.pem'
        pem.write_text(key)
        der = self.folder / 'key.der'
        said(['openssl', 'rsa', '-pubin', '-in', pem, '-RSAPublicKey_out', '-outform', 'DER', '-out', der])  # the bits of subjectPublicKey
        digest = said(['sha1sum', der]).split()[0].upper()
        self.assertEqual((first['slot'], first['key_hash'], first['key'], first['trust']), ('9A', digest, 'RSA 2048', 'trusted'))
        self.assertIn('digitalSignature', first['usage'])
        self.assertEqual(reader['tries_left'], 3)
        self.assertRegex(reader['atr'], '^3[bB]')
        self.assertEqual(answer['card_drivers'], [{'name': 'pivtoken', 'disabled': False}])
        self.assertIn(library, answer['reader_drivers'])
        text = self.cardmap('cards', '--config', self.conf(), 'status').out
        self.assertIn(digest, text)
        self.assertRegex(text, rf'(?m)^reader driver +{re.escape(library)}$')
        off = self.cardmap('cards', '--config', self.conf(card__disabled='pivtoken'), '--json', 'status').json
        self.assertTrue(off['card_drivers'][0]['disabled'])

    def test_one_slot_is_exported_as_it_was_issued(self):
        for slot, name in (('9A', 'alice-rsa2048'), ('9d', 'alice-9d')):
            pem = self.cardmap('cards', '--config', self.conf(), '--export', slot).out
            self.assertEqual(pem.count('BEGIN CERTIFICATE'), 1)
            self.assertEqual(said(['openssl', 'x509', '-outform', 'PEM'], input=pem),
                             said(['openssl', 'x509', '-in', scenario.RIG.pki / f'{name}.crt']))
        self.cardmap('cards', '--config', self.conf(), '--export', '9B', status=64)
        self.cardmap('cards', '--config', self.conf(), '--export', '9C', status=1)


if __name__ == '__main__':
    scenario.main()
