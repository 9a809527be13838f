//! Microsoft Entra ID.

use cloudauth::*;

use super::{ACCESS_TOKEN, Case, P256, RSA, at, case, flow, head, maybe_signer, response, signer};
use crate::probe::Probe;

pub(crate) fn client_assertion(p: &Probe) -> *mut cloudauth_azure_client_assertion_params {
    p.params(|params: &mut cloudauth_azure_client_assertion_params| {
        params.certificate = p.octets(RSA);
        params.tenant = p.text("contoso.example");
        params.client_id = p.text("00001111-aaaa-2222-bbbb-3333cccc4444");
        params.authority = p.number(CLOUDAUTH_AZURE_PUBLIC);
        params.scheme = p.number(0);
        params.flags = p.number(0);
        params.reserved = p.number(0);
    })
}

/// One with a chain and a host.
fn chained(p: &Probe) -> *mut cloudauth_azure_client_assertion_params {
    p.params(|params: &mut cloudauth_azure_client_assertion_params| {
        params.certificate = p.octets(RSA);
        (params.chain, params.chain_count) = p.elements(&[p.octets(P256)]);
        params.tenant = p.text("contoso.example");
        params.client_id = p.text("00001111-aaaa-2222-bbbb-3333cccc4444");
        params.authority = CLOUDAUTH_AZURE_CUSTOM;
        params.authority_host = p.text("login.example");
        params.flags = CLOUDAUTH_AZURE_SEND_CHAIN;
    })
}

pub(crate) fn azure_token(p: &Probe) -> *mut cloudauth_azure_token_params {
    p.params(|params: &mut cloudauth_azure_token_params| {
        (params.scopes, params.scope_count) = p.texts(&["https://vault.azure.net/.default"]);
        params.credential = p.number(CLOUDAUTH_AZURE_CREDENTIAL_ASSERTION);
        params.assertion = client_assertion(p);
    })
}

/// The other half of its members: a secret.
fn secret(p: &Probe) -> *mut cloudauth_azure_token_params {
    p.params(|params: &mut cloudauth_azure_token_params| {
        (params.scopes, params.scope_count) = p.texts(&["https://vault.azure.net/.default"]);
        params.credential = CLOUDAUTH_AZURE_CREDENTIAL_SECRET;
        params.authority = p.number(CLOUDAUTH_AZURE_PUBLIC);
        params.tenant = p.text("contoso.example");
        params.client_id = p.text("00001111-aaaa-2222-bbbb-3333cccc4444");
        params.secret = p.text("hush");
        params.claims = p.text(r#"{"access_token":{}}"#);
    })
}

pub(super) fn cases(c: &mut Vec<Case>) {
    flow!(c, client_assertion, RSA, cloudauth_azure_client_assertion_needed,
        sign cloudauth_azure_client_assertion_sign, cloudauth_azure_client_assertion_prepare);
    flow!(c, chained, cloudauth_azure_client_assertion_needed);
    flow!(c, azure_token, RSA, cloudauth_azure_token_needed, maybe cloudauth_azure_token_request,
        cloudauth_azure_token_prepare);
    flow!(c, secret, cloudauth_azure_token_needed);
    response!(c, cloudauth_azure_token_response, azure_token, 200, ACCESS_TOKEN);
}
