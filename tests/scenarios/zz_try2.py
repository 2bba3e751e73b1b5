#!/usr/bin/python3
import re, sys, os, subprocess, threading, sqlite3
import scenario
from scenario import PIN, said, people
from test_pairing import PairingCase, key_hash, SERVERS
class T(PairingCase):
    def selector(self, text, name='selector', mode=0o755):
        path = self.folder / name
        path.write_text(f'#!/bin/sh\n{text}'); path.chmod(mode); os.chown(path,0,0)
        self.settings['mapper.selector'] = path
        return path
    def show(self, t, a):
        print('##',t, a.status, a.json.get('reason') if a.out.startswith('{') else '', (a.json.get('message') if a.out.startswith('{') else a.out+a.err) or '')
    def ex(self, t, *u, card='carol'):
        a=self.cardmap('explain','--config',self.conf(),'--card',f'file:{scenario.RIG.pki}/{card}.pem',*u,status=None)
        L=[l for l in a.out.splitlines() if l.strip()]
        print('##',t,a.status); print('  F',L[0][:250]); print('  L',L[-1][:250])
    def test_selector_explain(self):
        self.selector('exit 0\n'); self.ex('selector says nobody'); self.ex('selector says nobody','bob')
        self.selector(f'printf "{self.hash}\\tnouser\\n"\n'); self.ex('selector says nouser'); self.ex('selector says nouser','bob')
        self.selector(f'printf "{self.hash}\\talice\\n"\n'); self.ex('selector says alice, want bob','bob')
        self.selector(f'printf "{self.hash}\\t{{x}}*)(uid=*\\n"\n'); self.ex('odd')
    def test_pair_names(self):
        for n in ('root','BOB','bob ',' bob','*','bob)(uid=*','','-x','bob\n','a'*5000,'../bob','nobody'):
            a=self.cardmap('pair','--config',self.conf(),'--json','--card',f'file:{scenario.RIG.pki}/carol.pem','--',n,pin=PIN,status=None)
            self.show(repr(n[:20]),a)
        print(self.pairings())
    def test_race(self):
        self.settings['accounts.one_card_per_user']='yes'
        import concurrent.futures as f
        def one(card):
            r,w=os.pipe(); os.write(w,PIN.encode()+b'\n'); os.close(w)
            p=subprocess.run([scenario.program(),'pair','--pin-fd',str(r),'--config',conf,'--json','--card',f'file:{scenario.RIG.pki}/{card}.pem','bob'],pass_fds=[r],capture_output=True,text=True,env=self.environment())
            os.close(r)
            return card,p.returncode,__import__('json').loads(p.stdout).get('reason')
        conf=str(self.conf())
        with f.ThreadPoolExecutor(4) as e: print(list(e.map(one,['carol','dave','erin','no-san'])))
        print(self.pairings())
    def test_db(self):
        self.pair('bob')
        conf=self.conf()
        db=sqlite3.connect(self.store); 
        print(db.execute('select sql from sqlite_schema').fetchall()[:8])
        db.execute("update pairing set user='alice'"); db.commit(); db.close()
        a=self.login(card='carol',status=None); self.show('row changed', a)
        a=self.cardmap('pairings','--config',conf,status=None); print(a.status,a.out,a.err)
        os.chmod(self.store,0o444)
        a=self.unpair('bob',status=None); self.show('unpair ro',a)
        os.chmod(self.store,0o600)
        data=bytearray(self.store.read_bytes()); data[5000:5100]=b'\xff'*100; self.store.write_bytes(data)
        a=self.login(card='carol',status=None); self.show('damaged', a)
        a=self.pair('bob',status=None); self.show('pair damaged',a)
        a=self.unpair('bob',status=None); self.show('unpair damaged',a)
    def test_full(self):
        self.pair('bob')
        d=self.folder/'store'
        a=self.as_root('unpair','bob',card=None,status=None,wrapper=['prlimit','--fsize=4096']); self.show('unpair fsize',a)
        a=self.as_root('pair','bob',card='dave',pin=PIN,status=None,wrapper=['prlimit','--fsize=4096']); self.show('pair fsize',a)
        print(self.pairings())
        self.network_down()
        a=self.unpair('bob',status=None); self.show('offline unpair',a)
        a=self.pair('bob',status=None); self.show('offline pair',a)
    def test_two_same_token(self):
        h=';tokenidentity;'+key_hash('carol')
        self.give('bob',altSecurityIdentities=h.upper()); self.give('alice',altSecurityIdentities=h.lower())
        a=self.login(card='carol',status=None); self.show('two tokens',a)
        self.settings['mapper.several_accounts']='hint'
        a=self.login('alice',card='carol',status=None); self.show('two tokens hint alice',a)
        a=self.login(card='carol',status=None); self.show('two tokens hint none',a)
if __name__=='__main__': scenario.main()
