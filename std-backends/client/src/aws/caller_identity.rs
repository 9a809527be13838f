//! `GetCallerIdentity`.

use std::sync::Arc;

use cloudauth_core::aws::{GetCallerIdentity, SigningKey, sigv4::SigV4};
use cloudauth_core::{Attempt, Exchange as _, HttpRequest};
use cloudauth_keys::{KeyUri, SecretRef};
use cloudauth_tls::{Endpoint, Request, Transport};

use super::{Caller, Signer};
use crate::environment::aws_endpoint;
use crate::flow::{Then, build, to};
use crate::{Credential, Error, Inputs, Result};

/// Asks STS whose credentials these are.
#[derive(Clone, Debug, Default)]
pub struct CallerIdentity {
    /// The access key id; else `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// The secret access key; else `env:AWS_SECRET_ACCESS_KEY`.
    pub key: Option<KeyUri>,
    /// The session token; else `AWS_SESSION_TOKEN`, unless [`access_key_id`](Self::access_key_id) is given.
    pub session_token: Option<SecretRef>,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// Ask for an answer in JSON in place of XML.
    pub accept_json: bool,
    /// Another endpoint; else `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
}

/// Whose credentials they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The user or the role session.
    pub arn: String,
    /// The id that policies know it by.
    pub user_id: String,
}

impl CallerIdentity {
    /// Builds the request, and hands it to `then`. Nothing is sent.
    ///
    /// # Errors
    /// As a provider's, but for the network.
    pub fn request(
        &self,
        inputs: &Arc<Inputs>,
        at: &Attempt,
        mut then: impl FnMut(&HttpRequest<'_>),
    ) -> Result<()> {
        self.build(inputs, None, self.endpoint()?.as_ref(), at, &mut then)
    }

    fn build(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
        endpoint: Option<&Endpoint>,
        at: &Attempt,
        then: Then<'_>,
    ) -> Result<()> {
        let caller = Caller {
            access_key_id: self.access_key_id.as_deref(),
            key: self.key.as_ref(),
            session_token: self.session_token.as_ref(),
        };
        let signer = Signer::open(caller, base, self.region.as_deref(), inputs)?;
        let authority = endpoint.map(Endpoint::authority);
        signer.sign(at.time(), |s| build(&self.exchange(s, authority.as_deref()), None, at, then))
    }

    pub(crate) async fn send(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
        transport: &Transport,
    ) -> Result<Identity> {
        self.ask(inputs, base, transport, self.endpoint()?.as_ref()).await
    }

    /// The same at a given endpoint, whatever the variables say.
    pub(crate) async fn ask(
        &self,
        inputs: &Arc<Inputs>,
        base: Option<&Credential>,
        transport: &Transport,
        endpoint: Option<&Endpoint>,
    ) -> Result<Identity> {
        const NAME: &str = "GetCallerIdentity";
        let transport = to(endpoint, transport);
        let sent = transport.call(
            async |at| {
                let mut request = None;
                let then: Then<'_> = &mut |built| request = Some(Request::new(built));
                self.build(inputs, base, endpoint, &at, then)?;
                Ok(request.ok_or("the request was not built")??)
            },
            |head, body| {
                // Answers are read without a key.
                let key = SigningKey::unset();
                let answer = self.exchange(SigV4::new("", &key), None).response(head, body)?;
                Ok(Identity {
                    account: answer.account.to_owned(),
                    arn: answer.arn.to_owned(),
                    user_id: answer.user_id.to_owned(),
                })
            },
        );
        sent.await.map_err(|e| Error::service(NAME, e))
    }

    fn endpoint(&self) -> Result<Option<Endpoint>> {
        aws_endpoint(self.endpoint_url.as_deref(), "STS")
    }

    fn exchange<'a>(&self, signer: SigV4<'a>, endpoint: Option<&'a str>) -> GetCallerIdentity<'a> {
        GetCallerIdentity {
            endpoint,
            accept_json: self.accept_json,
            ..GetCallerIdentity::new(signer)
        }
    }
}
