#!/usr/bin/python3
"""test_service_steps.py: a login in which a process is killed, at each step of it."""
import re
import shutil
import sqlite3
import unittest
from pathlib import Path

import scenario
import service_scenario
from scenario import PIN, wait_until
from service_scenario import ServiceScenario

import service as service_module
from rig import WORK

ROOT = Path(__file__).resolve().parents[2]
ONCE = WORK / 'faults/once'
HELPERS = ('helper.', 'resolver.', 'ccache')  # all other points are cardmapd's own


class StepTest(ServiceScenario):
    """kill -9 of each process at each step of a login, by the fault points of the build under test."""
    with_faults = True
    starts = False

    @staticmethod
    def points():
        """Stages are fault points by their names; the others have one for each message that they serve, the ccache's writer three, and
        who tells that somebody is in one."""
        login = (ROOT / 'service/login.c').read_text(encoding='utf-8')
        stages = re.findall(r'(?m)^\t\{ CM_(?:BEFORE|AFTER)_PIN,.*?"([a-z]+)"', login)
        helper = [f'helper.{kind}' for kind in ('READER', 'OPEN', 'EXPECT_TICKET', 'VERIFY', 'GET_TICKET')]
        resolver = [f'resolver.{kind}' for kind in ('CHAIN', 'ACCOUNT', 'REVOCATION', 'KDC_STATE')]
        return stages + helper + resolver + ['ccache', 'ccache.written', 'ccache.told', 'granted']

    def check_store(self):
        if not service_scenario.SERVICE.store.exists():
            return
        with sqlite3.connect(f'file:{service_scenario.SERVICE.store}?mode=ro', uri=True) as store:
            self.assertEqual(store.execute('PRAGMA integrity_check').fetchone(), ('ok',))
        store.close()

    def one(self, point):
        service_scenario.SERVICE.stop()
        for folder in (service_scenario.SERVICE.store.parent, service_scenario.SERVICE.tickets):
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        ONCE.parent.mkdir(exist_ok=True)
        ONCE.parent.chmod(0o777)  # whoever comes by takes it away
        ONCE.touch()
        service_scenario.SERVICE.start(CM_FAULT=f'kill:{point}', CM_FAULT_ONCE=ONCE)
        terminal = self.su()
        terminal.expect(rb'PIN for [^\r\n]*: ?$|\([a-z_]+\)\r\n|ccache=')
        if b'PIN for' in terminal.text:
            terminal.type(f'{PIN}\n')
        status, text = self.ended(terminal)
        self.check_store()
        self.assertFalse(ONCE.exists(), f'{point}: no process ever came by this point')
        if not point.startswith(HELPERS):
            wait_until(lambda: not scenario.RIG.is_running('cardmapd'), 'it to end')
            wait_until(lambda: not service_module.processes_of_service(), 'the helpers to end')
            service_scenario.SERVICE.start()
        if status:
            self.assertEqual(self.tickets(), [], f'{point}: {text}')
        self.wait_card()
        self.check_inside(*self.log_in())
        self.assertEqual(list(service_module.RUN.glob('private/untold.*')), [])
        self.assertEqual(self.kept(), ['alice'])

    def test_each(self):
        points = self.points()
        self.assertEqual(len(points), 12 + 5 + 4 + 4, points)
        for point in points:
            with self.subTest(point):
                self.one(point)


if __name__ == '__main__':
    unittest.TestCase.maxDiff = None
    service_scenario.main()
