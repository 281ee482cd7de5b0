# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over a pair of pipes (--remote-debugging-pipe): messages are JSON,
each with a NUL behind it. What pages say in the console, and what a policy has blocked, is kept,
so that a test can ask whether there was anything."""
import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

from program import PATIENCE


def find_browser():
    return shutil.which('chromium') or shutil.which('chromium-browser')


class BrowserError(AssertionError):
    pass


class Page:
    """A tab of its own profile: its cookies are nobody else's."""

    def __init__(self, browser, width, height, dark=False):
        self.browser = browser
        self.console = []
        self.context = browser.call('Target.createBrowserContext')['browserContextId']
        target = browser.call('Target.createTarget', url='about:blank',
                              browserContextId=self.context)['targetId']
        self.session = browser.call('Target.attachToTarget', targetId=target,
                                    flatten=True)['sessionId']
        browser.pages[self.session] = self
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(domain + '.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call('Emulation.setFocusEmulationEnabled', enabled=True)
        self.call('Page.bringToFront')
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def call(self, method, **parameters):
        return self.browser.call(method, session=self.session, **parameters)

    def hear(self, method, parameters):
        if method == 'Runtime.exceptionThrown':
            self.console.append(json.dumps(parameters['exceptionDetails'])[:2000])
        elif method == 'Log.entryAdded' and parameters['entry']['level'] == 'error':
            entry = parameters['entry']
            self.console.append(f'{entry["text"]} {entry.get("url", "")}')

    def go(self, url):
        failed = self.call('Page.navigate', url=url).get('errorText')
        assert not failed, f'{url}: {failed}'

    def run(self, script, wait=True):
        """The value of an expression; a promise's is waited for."""
        result = self.call('Runtime.evaluate', expression=script, returnByValue=True,
                           awaitPromise=wait, userGesture=True)
        if 'exceptionDetails' in result:
            raise BrowserError(json.dumps(result['exceptionDetails'])[:2000])
        return result['result'].get('value')

    def until(self, script, what=None):
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(BrowserError):  # in the middle of a navigation
                if self.run(f'Promise.resolve(({script})).then((value) => Boolean(value))'):
                    return
            self.browser.listen(0.05)
        raise BrowserError(f'{what or script}: not in {PATIENCE} s; the page says '
                           f'{self.run("document.body.innerText")[:2000]!r}, console {self.console}')

    def see(self, text):
        self.until(f'document.body.innerText.includes({json.dumps(text)})', text)

    def text(self, selector='main'):
        return self.run(f'document.querySelector({json.dumps(selector)}).innerText')

    def click(self, selector):
        self.until(f'document.querySelector({json.dumps(selector)})')
        self.run(f'document.querySelector({json.dumps(selector)}).click()')

    def type(self, text):
        self.call('Input.insertText', text=text)

    def key(self, key, code=None):
        codes = {'Enter': 13, 'ArrowDown': 40, 'ArrowUp': 38, 'Backspace': 8, 'Tab': 9, '/': 191}
        event = {'key': key, 'code': code or key, 'windowsVirtualKeyCode': codes[key]}
        text = {'Enter': '\r', '/': '/'}.get(key)
        self.call('Input.dispatchKeyEvent', type='keyDown', **event,
                  **({'text': text} if text else {}))
        self.call('Input.dispatchKeyEvent', type='keyUp', **event)

    def screenshot(self, path):
        data = self.call('Page.captureScreenshot', format='png')['data']
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
        return path

    def close(self):
        self.browser.call('Target.disposeBrowserContext', browserContextId=self.context)
        del self.browser.pages[self.session]


class Browser:
    """Use it as a context."""

    def __init__(self, profile, *args):
        to_browser, self.write_fd = os.pipe()
        self.read_fd, from_browser = os.pipe()
        command = [find_browser(), '--headless=new', '--no-sandbox', '--disable-gpu',
                   '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
                   '--disable-component-update', '--disable-sync', '--mute-audio', '--hide-scrollbars',
                   '--autoplay-policy=no-user-gesture-required', '--remote-debugging-pipe',
                   f'--user-data-dir={profile}', *args]
        # The browser reads from descriptor 3 and writes to 4.
        script = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        self.process = subprocess.Popen(
            ['bash', '-c', script, str(to_browser), str(from_browser), *command],
            pass_fds=[to_browser, from_browser], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=str(profile)))
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.buffer = b''
        self.answers = {}
        self.pages = {}

    def listen(self, seconds):
        """Take what comes within that time, or what there is."""
        if not select.select([self.read_fd], [], [], seconds)[0]:
            return
        data = os.read(self.read_fd, 1 << 20)
        if not data:
            raise BrowserError(f'the browser ended: {self.process.wait()}')
        *messages, self.buffer = (self.buffer + data).split(b'\0')
        for message in map(json.loads, messages):
            if 'id' in message:
                self.answers[message['id']] = message
            elif page := self.pages.get(message.get('sessionId')):
                page.hear(message['method'], message['params'])

    def call(self, method, session=None, **parameters):
        self.number += 1
        number = self.number
        message = {'id': number, 'method': method, 'params': parameters}
        if session:
            message['sessionId'] = session
        os.write(self.write_fd, json.dumps(message).encode() + b'\0')
        end = time.monotonic() + PATIENCE
        while number not in self.answers:
            if time.monotonic() > end:
                raise BrowserError(f'{method}: no answer in {PATIENCE} s')
            self.listen(1)
        answer = self.answers.pop(number)
        if 'error' in answer:
            raise BrowserError(f'{method}: {answer["error"]}')
        return answer['result']

    @contextlib.contextmanager
    def page(self, width=1280, height=860, **options):
        page = Page(self, width, height, **options)
        try:
            yield page
        finally:
            page.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.write_fd)
        os.close(self.read_fd)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
