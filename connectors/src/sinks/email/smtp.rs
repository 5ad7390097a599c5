//! Speaking SMTP (RFC 5321): one connection for each message.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::sink::{Attempt, DeliveryTerms};
use tidegate_pipeline::spec::Secret;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::message::Message;
use super::options::{Mailbox, Security};
use crate::sinks::webhook::redaction::Redaction;
use crate::sinks::webhook::sending::Sending;
use crate::tls::Verification;

/// The longest answer, in bytes.
const LONGEST: u64 = 64 * 1024;
/// How much of an answer is kept as the reason, in bytes.
const KEPT: usize = 512;

/// Where messages go, as planned.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) login: Option<(String, Secret)>,
    pub(super) sending: Sending,
}

/// The same, with its secrets.
pub(super) struct OpenServer {
    host: String,
    port: u16,
    security: Security,
    login: Option<(String, SecretString)>,
    connector: TlsConnector,
    redaction: Redaction,
    timeout: Duration,
    pub(super) terms: DeliveryTerms,
}

/// Why a message was not taken.
enum Failure {
    /// Not now.
    Passing(String),
    /// Never.
    Lasting(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Passing(format!("the connection failed: {error}"))
    }
}

/// A stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A conversation.
struct Session(BufReader<Box<dyn Stream>>);

/// What a server answers: a code and its lines.
struct Answer {
    code: u16,
    text: String,
}

impl Server {
    /// Reads the secrets and certificates.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(super) fn open(&self) -> Result<OpenServer> {
        let mut redaction = Redaction::default();
        let login = match &self.login {
            Some((name, secret)) => {
                let secret = secret.resolve()?;
                redaction.add(&secret);
                redaction.add(&SecretString::from(plain(name, &secret)));
                Some((name.clone(), secret))
            }
            None => None,
        };
        if self.host.is_empty() {
            return Err(Error::user("`host` is empty"));
        }
        let config = self.sending.tls.client_verifying(Verification::of(self.sending.verifies))?;
        Ok(OpenServer {
            host: self.host.clone(),
            port: self.port,
            security: self.security,
            login,
            connector: TlsConnector::from(config),
            redaction,
            timeout: self.sending.timeout,
            terms: self.sending.terms,
        })
    }
}

/// What `AUTH PLAIN` says.
fn plain(name: &str, secret: &SecretString) -> String {
    BASE64.encode(format!("\0{name}\0{}", secret.expose_secret()))
}

impl OpenServer {
    /// Hands a message over.
    pub(super) async fn send(&self, mailbox: &Mailbox, message: &Message) -> Attempt {
        let reason = |text: &str| {
            let text = self.redaction.of(text);
            text[..text.floor_char_boundary(KEPT)].to_owned()
        };
        match tokio::time::timeout(self.timeout, self.converse(mailbox, message)).await {
            Ok(Ok(())) => Attempt::Done,
            Ok(Err(Failure::Passing(why))) => Attempt::Again { reason: reason(&why), after: None },
            Ok(Err(Failure::Lasting(why))) => Attempt::Refused { reason: reason(&why) },
            Err(_) => Attempt::Again { reason: "no answer in time".to_owned(), after: None },
        }
    }

    async fn converse(&self, mailbox: &Mailbox, message: &Message) -> Result<(), Failure> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let mut session = match self.security {
            Security::Tls => Session::over(self.secured(stream).await?),
            Security::None => Session::over(Box::new(stream)),
            Security::StartTls => self.start_tls(stream).await?,
        };
        if self.security != Security::StartTls {
            session.expect(220, "greet").await?;
        }
        session.say("EHLO tidegate", 250).await?;
        if let Some((name, secret)) = &self.login {
            session.write(&format!("AUTH PLAIN {}\r\n", plain(name, secret))).await?;
            let answer = session.expect(235, "log in").await;
            answer.map_err(|failure| match failure {
                Failure::Lasting(why) => Failure::Lasting(format!("{why} (check `username` and `password`)")),
                passing @ Failure::Passing(_) => passing,
            })?;
        }
        session.say(&format!("MAIL FROM:<{}>", mailbox.from), 250).await?;
        for to in &mailbox.to {
            session.say(&format!("RCPT TO:<{to}>"), 250).await?;
        }
        session.say("DATA", 354).await?;
        // No line of a message begins with a dot: its body is base64, its header names are letters.
        session.write(&format!("{}.\r\n", message.0)).await?;
        session.expect(250, "take the message").await?;
        // The message is the server's now, whatever it says to this.
        let _ = session.write("QUIT\r\n").await;
        Ok(())
    }

    /// The greeting in the clear, then TLS: nothing is said in the clear that matters.
    async fn start_tls(&self, mut stream: TcpStream) -> Result<Session, Failure> {
        // Read without a buffer: what follows the answer belongs to TLS, and to nobody else.
        answer_of(&mut stream).await?.must_be(220, "greet")?;
        stream.write_all(b"EHLO tidegate\r\n").await?;
        answer_of(&mut stream).await?.must_be(250, "EHLO")?;
        stream.write_all(b"STARTTLS\r\n").await?;
        let answer = answer_of(&mut stream).await?;
        if answer.code != 220 && answer.code >= 500 {
            let why = format!("the server offers no TLS: {} {}", answer.code, answer.text);
            return Err(Failure::Lasting(format!("{why} (`security: none` sends in the clear)")));
        }
        answer.must_be(220, "STARTTLS")?;
        Ok(Session::over(self.secured(stream).await?))
    }

    async fn secured(&self, stream: TcpStream) -> Result<Box<dyn Stream>, Failure> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| Failure::Lasting(format!("`{}` is no name of a server", self.host)))?;
        let secured = self.connector.connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| Failure::Passing(format!("no TLS with the server: {error}")))?))
    }
}

impl Session {
    fn over(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    async fn say(&mut self, command: &str, code: u16) -> Result<(), Failure> {
        self.write(&format!("{command}\r\n")).await?;
        self.expect(code, command).await
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.0.get_mut().write_all(text.as_bytes()).await?;
        Ok(self.0.get_mut().flush().await?)
    }

    async fn expect(&mut self, code: u16, doing: &str) -> Result<(), Failure> {
        let (mut text, mut left) = (String::new(), LONGEST);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.0).take(left).read_until(b'\n', &mut line).await?;
            left = left.saturating_sub(read as u64);
            match part(&line, &mut text)? {
                Some(found) => return Answer { code: found, text }.must_be(code, doing),
                None if left == 0 => return Err(Failure::Passing("the server does not stop talking".to_owned())),
                None => {}
            }
        }
    }
}

/// One answer, read byte by byte.
async fn answer_of(stream: &mut TcpStream) -> Result<Answer, Failure> {
    let (mut text, mut line) = (String::new(), Vec::new());
    for _ in 0..LONGEST {
        line.push(stream.read_u8().await?);
        if line.last() == Some(&b'\n') {
            if let Some(code) = part(&line, &mut text)? {
                return Ok(Answer { code, text });
            }
            line.clear();
        }
    }
    Err(Failure::Passing("the server does not stop talking".to_owned()))
}

/// A line of an answer: its code, if it is the last one. Adds what it says to `text`.
fn part(line: &[u8], text: &mut String) -> Result<Option<u16>, Failure> {
    let said = String::from_utf8_lossy(line);
    let said = said.trim_end();
    let wrong = || match said.is_empty() {
        true => Failure::Passing("the server has ended the connection".to_owned()),
        false => Failure::Passing(format!("this is no answer of SMTP: {said}")),
    };
    let code: u16 = said.get(..3).and_then(|code| code.parse().ok()).ok_or_else(wrong)?;
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(said.get(4..).unwrap_or_default());
    Ok((said.as_bytes().get(3) != Some(&b'-')).then_some(code))
}

impl Answer {
    /// Fails unless the server answers with this code: for ever with 5xx, otherwise for now.
    fn must_be(self, code: u16, doing: &str) -> Result<(), Failure> {
        let Self { code: found, text } = self;
        // A receiver that is forwarded to is one.
        if found == code || (code == 250 && found == 251) {
            return Ok(());
        }
        let why = format!("the server answers {doing} with {found} {text}");
        Err(if found >= 500 { Failure::Lasting(why) } else { Failure::Passing(why) })
    }
}
