import scenario
from mapping import *
from test_explain import ExplainCase, SERIAL
class T(ExplainCase):
    def sh(self,t,*a):
        f,l,_=self.explain(*a); print('##',t);print('  F',f[:300]);print('  L',l[:200])
    def test_a(self):
        self.rules=section('m',match='<ISSUER>^CN=Other$',attribute='mail',value='{rfc822_name}')
        self.sh('issuer','bob','bob')
        self.rules=section('m',match='<EKU>1.2.3',attribute='mail',value='{rfc822_name}')
        self.sh('eku','bob','bob')
        self.rules=section('m',domains=['x.y'],attribute='mail',value='{rfc822_name}')
        self.sh('domain unset','bob','bob')
        self.settings['directory.domain']='z'
        self.sh('domain other','bob','bob')
        self.rules=section('m',upn_suffix='foo',attribute='mail',value='{rfc822_name}')
        self.sh('suffix','bob','bob')
        self.rules=section('m',attribute='mail',value='{rfc822_name}')
        self.sh('field','no-san','bob')
        self.rules=''
        self.settings['mapper.forms']='kerberos'
        self.sh('kerberos only','bob','bob')
        self.give('bob',altSecurityIdentities=SERIAL.replace('0220','2002'))
        self.sh('kerberos only, reversed','bob','bob')
        self.settings['mapper.forms']='altSecurityIdentities'
        self.give('bob',altSecurityIdentities=[],userPrincipalName='x@CARDMAP.TEST')
        self.sh('upn not asked','bob','bob')
        self.rules=section('f',filter='LDAP:(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<S>{subject_dn!ad_x500})')
        self.sh('filter','bob','bob')
        self.settings['mapper.binding']='strong'
        self.rules=''
        self.give('bob',altSecurityIdentities='Kerberos:bob@CARDMAP.TEST')
        self.sh('weak','bob','bob')
if __name__=='__main__': scenario.main()
