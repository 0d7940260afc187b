"""relayhost.py - an SMTP server to relay to (aiosmtpd), which answers as it is told

RelayHost(port=None, **answers): <answers> maps "rcpt" and "data" to a function of
(recipient) and of (envelope) that gives a reply, or None for 250.
"""
import threading
from aiosmtpd.controller import Controller
from pipit import free_port

class RelayHost:
    def __init__(self, port=None, host='127.0.0.1', rcpt=None, data=None, **options):
        self.rcpt, self.data = rcpt, data
        self.port = port or free_port()
        self.mails = []       # (sender, [recipients], content with CRLF, MAIL's parameters) taken with 250
        self.transactions = 0 # that reached DATA
        self.sessions = set()
        self.controller = Controller(self, hostname=host, port=self.port, ready_timeout=60, **options)
        self.controller.start()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        self.sessions.add((session.peer, hostname))
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self.rcpt and self.rcpt(address)
        if reply: return reply
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 ok'

    async def handle_DATA(self, server, session, envelope):
        self.transactions += 1
        reply = self.data and self.data(envelope)
        if reply: return reply
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content,
                           list(envelope.mail_options)))
        return '250 2.0.0 taken'

    def stop(self):
        self.controller.stop()
