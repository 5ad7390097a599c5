"""A server for messages: see smtp.sh."""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

folder, port = sys.argv[1], int(sys.argv[2])


class Keeper:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["subject"],
            "id": message["message-id"],
            "text": message.get_content(),
            "tls": session.ssl is not None,
        }
        with open(f"{folder}/messages.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 OK"


def known(server, session, envelope, mechanism, data):
    good = mechanism in ("PLAIN", "LOGIN") and (data.login, data.password) == (b"tidegate", b"hunter2")
    return AuthResult(success=good, handled=False) if not good else AuthResult(success=True)


class Server(Controller):
    def factory(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/ca.pem", f"{folder}/server.key")
        return SMTP(
            self.handler, tls_context=context, require_starttls=True, authenticator=known, auth_required=True,
            enable_SMTPUTF8=False,
        )


server = Server(Keeper(), hostname="127.0.0.1", port=port)
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
