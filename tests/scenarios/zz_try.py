#!/usr/bin/python3
import re, sys, os
import scenario
from mapping import *
from test_explain import ExplainCase, SERIAL
from scenario import Counts, people, said
S=SERIAL
class T(ExplainCase):
    def show(self, title, card, *user, **o):
        with Counts() as c:
            first,last,a=self.explain(card,*user)
        print('##',title); print('  F:',first[:300]); print('  L:',last[:300]); print('   n', c.searches()//2)
        for v in self.told.json.get('explanation',{}).get('near_misses',[])[:1]: print('   near',v)
    def test_a(self):
        self.give('bob', altSecurityIdentities=SERIAL)
        self.show('case of user','bob','BOB')
        self.show('upn as user','bob','bob@cardmap.test')
        self.show('no such user','bob','nobody9')
        self.show('user by cn','bob','Bob Example')
        self.show('user injected','bob','*)(uid=*')
        self.only('bob')
        self.show('no value', 'bob','bob')
        self.show('no value no user', 'bob')
        self.give('bob', altSecurityIdentities=['X509:<SKI>00', SERIAL.replace('0220','2002')])
        self.show('serial rev + other', 'bob','bob')
        self.give('bob', altSecurityIdentities='x509:<i>'+ISSUER.lower()+'<sr>2002')
        self.show('lower + rev', 'bob','bob')
        self.give('bob', altSecurityIdentities='X509:<I>'+ISSUER+'<SR>00220')
        self.show('odd digits', 'bob','bob')
        self.give('bob', altSecurityIdentities='X509:<I>'+ISSUER+'<S>'+BOB.replace('Bob','Robert'))
        self.show('issuer subject other', 'bob','bob')
        self.give('bob', altSecurityIdentities='X509:<RFC822>bob@old.test')
        self.show('mail suffix', 'bob','bob')
        self.give('bob', altSecurityIdentities='X509:<SHA1-PUKEY>'+'ab'*20)
        self.show('other key hash', 'bob','bob')
        self.give('bob', altSecurityIdentities='X509:<SHA1-PUKEY>'+authority('bob'))
        self.show('AKI in pukey', 'bob','bob')
        self.give('bob', altSecurityIdentities=';TokenIdentity;'+key_hash('bob'))
        a=self.whois('bob',status=None); print('odd case tokenidentity', a.status, a.json.get('account',{}).get('rule'))
        self.give('bob', altSecurityIdentities=';tokenidentity;'+key_hash('alice-rsa2048'))
        self.show('tokenidentity of alice', 'bob','bob')
        self.give('bob', altSecurityIdentities=['Kerberos:bob@CARDMAP.TEST'], userAccountControl='514')
        self.show('disabled', 'bob','bob')
        self.show('disabled no user', 'bob')
    def test_b(self):
        self.give('bob', altSecurityIdentities='a'*20000)
        self.show('huge', 'bob','bob')
        self.give('bob', altSecurityIdentities=['X509:<I>'+ISSUER+'<SR>%08d'%i for i in range(500)])
        self.show('500', 'bob','bob')
        self.give('bob', altSecurityIdentities=b'X509:<I>\x1b[31mRED<SR>00')
        self.show('esc', 'bob','bob')
        self.give('bob', altSecurityIdentities=[], description='x')
        self.settings['directory.base']='ou=nowhere,'+people.BASE
        self.show('base missing','bob','bob')
        self.show('base missing','bob')
def authority(n):
    from test_explain import authority_key_id
    return authority_key_id(n)
if __name__=='__main__': scenario.main()
