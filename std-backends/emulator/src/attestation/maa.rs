//! Microsoft Azure Attestation
//! (<https://learn.microsoft.com/rest/api/attestation/attestation>).
//!
//! Real are the paths, the forms of requests and answers, the way from the runtime data into the
//! claims, and the signature. No report or quote is looked into: any octets pass, and the claims
//! about hardware and code are the configuration's. `AzureGuest` takes a body of the emulator's own,
//! since the real one is a conversation with a TPM.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::claims::Runtime;
use super::mint::{self, AttestationToken};
use super::{AttestationKind, Services};
use crate::EmulatorError;
use crate::request::{Call, Reply};

/// An error in the service's form.
pub(crate) fn failure(status: u16, code: &'static str, what: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": what}})).error(code)
}

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    let request = call.request;
    let own_name = request.hostname().ends_with(".attest.azure.net");
    let path = request.path.as_str();
    let path = path.strip_prefix("/maa").unwrap_or(path);
    let base = match own_name {
        true => request.base(),
        false => format!("{}/maa", request.base()),
    };
    call.record.operation = path.rsplit('/').next().map(str::to_owned);
    let services = &call.state.attestation;
    match (request.method.as_str(), path) {
        ("GET", "/.well-known/openid-configuration") => Reply::json(
            200,
            &json!({
                "issuer": base,
                "jwks_uri": format!("{base}/certs"),
                "response_types_supported": ["token", "none"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "claims_supported": ["x-ms-attestation-type", "x-ms-policy-hash", "x-ms-runtime"],
            }),
        ),
        ("GET", "/certs") => done(services.maa_keys.certificates()),
        ("POST", _) if path.starts_with("/attest/") => attest(call, path),
        _ => failure(404, "NotFound", "There is no such page."),
    }
}

fn done(body: Result<Value, EmulatorError>) -> Reply {
    match body {
        Ok(body) => Reply::json(200, &body),
        Err(error) => failure(500, "InternalServerError", &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Attest {
    /// Of a SEV-SNP machine.
    report: Option<String>,
    /// Of an SGX enclave or a TDX machine.
    quote: Option<String>,
    runtime_data: Option<Data>,
    init_time_data: Option<Data>,
    #[serde(rename = "draftPolicyForAttestation")]
    _draft_policy: Option<String>,
    nonce: Option<String>,
    /// The emulator's own, for `AzureGuest`.
    client_payload: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Data {
    data: String,
    data_type: String,
}

impl Data {
    fn octets(&self) -> Option<Runtime> {
        let octets = URL_SAFE_NO_PAD.decode(self.data.trim_end_matches('=')).ok()?;
        match self.data_type.as_str() {
            "JSON" => {
                serde_json::from_slice(&octets).ok().filter(Value::is_object).map(Runtime::Json)
            }
            "Binary" => Some(Runtime::Binary(octets)),
            _ => None,
        }
    }
}

fn attest(call: &mut Call<'_>, path: &str) -> Reply {
    let invalid = |what: &str| failure(400, "InvalidParameter", what);
    let kind = match path.strip_prefix("/attest/") {
        Some("SevSnpVm") => AttestationKind::Sevsnpvm,
        Some("SgxEnclave") => AttestationKind::Sgx,
        Some("TdxVm") => AttestationKind::Tdxvm,
        Some("AzureGuest") => AttestationKind::Azurevm,
        _ => return failure(404, "NotFound", "There is no such kind of attestation."),
    };
    if call.request.query_pairs().get("api-version").is_none() {
        return invalid("The query parameter api-version is missing.");
    }
    let body = match serde_json::from_slice::<Attest>(&call.request.body) {
        Ok(body) => body,
        // Its text may quote a value.
        Err(error) => {
            let what = format!("The body, line {}, column {}.", error.line(), error.column());
            return invalid(&what);
        }
    };
    let evidence = match kind {
        AttestationKind::Sevsnpvm => body.report.as_deref(),
        AttestationKind::Azurevm => Some("AA"),
        _ => body.quote.as_deref(),
    };
    let decoded = evidence.and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
    if decoded.is_none_or(|octets| octets.is_empty()) {
        return invalid("The report or quote is missing or no base64url.");
    }
    let runtime = match (&body.runtime_data, &body.client_payload) {
        (None, None) => Some(Runtime::None),
        (Some(data), None) if kind != AttestationKind::Azurevm => data.octets(),
        (None, Some(payload)) if kind == AttestationKind::Azurevm => {
            Some(Runtime::Json(json!({"client-payload": payload})))
        }
        _ => None,
    };
    let Some(runtime) = runtime else {
        return invalid("The runtime data is no base64url of the type that it says.");
    };
    let init = body.init_time_data.as_ref().map(Data::octets);
    let mut token = AttestationToken { kind, ..AttestationToken::default() };
    match init {
        None => {}
        Some(Some(Runtime::Json(value))) => {
            token.claims.insert("x-ms-inittime".into(), value);
        }
        Some(Some(_)) => {}
        Some(None) => return invalid("The init-time data is no base64url of its type."),
    }
    token.nonces.extend(body.nonce);
    let life = call.expiry(8 * 3600).saturating_sub(call.now);
    token.lifetime = Some(life);
    let services: &Services = &call.state.attestation;
    let minted = mint::build(services, call.now, &token, None, &runtime);
    done(minted.map(|token| json!({"token": token})))
}
