//! A small S3: enough to see whether credentials work. Whoever has valid credentials may do all of it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::sigv4::{Caller, Refusal, verify};
use super::{AwsError, chunked, xml};
use crate::clock;
use crate::keys::uuid;
use crate::request::{Call, Reply};
use crate::state::Object;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// The octets that all buckets hold together at most.
const MAX_STORED: usize = 256 << 20;
const MAX_KEYS: usize = 1000;

/// Answers a request.
pub(crate) fn answer(call: &mut Call<'_>) -> Reply {
    let done = locate(call).and_then(|(bucket, key)| {
        let caller = verify(call, "s3").map_err(|refusal| refused(call.now, refusal))?;
        call.record.principal = Some(caller.arn.clone());
        operate(call, &caller, bucket.as_deref(), key.as_deref())
    });
    done.unwrap_or_else(|error| failure(&error))
}

/// An error in the form of the service.
pub(crate) fn failure(error: &AwsError) -> Reply {
    let (request, host) = (uuid(), uuid());
    let content = json!({
        "Code": error.code, "Message": error.message, "RequestId": request, "HostId": host,
    });
    Reply::new(error.status, "application/xml", xml::document("Error", None, &content))
        .header("x-amz-request-id", request)
        .header("x-amz-id-2", host)
        .error(error.code)
}

fn refused(now: i64, refusal: Refusal) -> AwsError {
    match refusal {
        Refusal::Missing => AwsError::new(403, "AccessDenied", "Access Denied"),
        Refusal::Malformed(what) => AwsError::new(400, "AuthorizationHeaderMalformed", what),
        Refusal::UnknownKey => AwsError::new(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Refusal::WrongToken => AwsError::new(
            400,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        Refusal::Expired => AwsError::new(400, "ExpiredToken", "The provided token has expired."),
        Refusal::Skewed { signed } => AwsError::new(
            403,
            "RequestTimeTooSkewed",
            format!(
                "The difference between the request time and the current time is too large: {} \
                 and {}",
                clock::rfc3339(signed),
                clock::rfc3339(now)
            ),
        ),
        Refusal::UrlExpired => AwsError::new(403, "AccessDenied", "Request has expired"),
        Refusal::Scope(what) => AwsError::new(400, "AuthorizationHeaderMalformed", what),
        Refusal::Unsigned(what) => AwsError::new(
            403,
            "AccessDenied",
            format!("There were headers present in the request which were not signed: {what}"),
        ),
        Refusal::Mismatch => AwsError::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check \
             your key and signing method.",
        ),
    }
}

/// The bucket, from the host name or the path, and the object's key.
fn locate(call: &Call<'_>) -> Result<(Option<String>, Option<String>), AwsError> {
    let path = percent_decode_str(call.request.path.trim_start_matches('/')).decode_utf8();
    let path = path.map_err(|_| AwsError::new(400, "InvalidURI", "Couldn't parse the URI."))?;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let host = call.request.hostname();
    let in_host =
        host.find(".s3.").and_then(|at| host.get(..at)).or_else(|| host.strip_suffix(".localhost"));
    if let Some(bucket) = in_host {
        return Ok((some(bucket), some(&path)));
    }
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    Ok((some(bucket), some(key)))
}

fn operate(
    call: &mut Call<'_>,
    caller: &Caller,
    bucket: Option<&str>,
    key: Option<&str>,
) -> Result<Reply, AwsError> {
    let method = call.request.method.clone();
    let list = call.request.query_pairs().get("list-type") == Some("2");
    let operation = match (method.as_str(), bucket, key) {
        ("GET", None, _) => "ListBuckets",
        ("GET", Some(_), None) if list => "ListObjectsV2",
        ("HEAD", Some(_), None) => "HeadBucket",
        ("PUT", Some(_), None) => "CreateBucket",
        ("GET", Some(_), Some(_)) => "GetObject",
        ("HEAD", Some(_), Some(_)) => "HeadObject",
        ("PUT", Some(_), Some(_)) => "PutObject",
        ("DELETE", Some(_), Some(_)) => "DeleteObject",
        _ => {
            let what =
                "A header or query you provided implies functionality that is not implemented.";
            return Err(AwsError::new(501, "NotImplemented", what));
        }
    };
    call.record.operation = Some(operation.into());
    let Some(name) = bucket else { return Ok(list_buckets(call)) };
    if operation == "CreateBucket" {
        call.state.buckets.entry(name.to_owned()).or_default();
        return Ok(Reply::empty(200).header("location", format!("/{name}")));
    }
    let stored: usize =
        call.state.buckets.values().flat_map(BTreeMap::values).map(|o| o.body.len()).sum();
    let objects =
        call.state.buckets.get_mut(name).ok_or_else(|| {
            AwsError::new(404, "NoSuchBucket", "The specified bucket does not exist")
        })?;
    let Some(key) = key else {
        return if operation == "HeadBucket" {
            Ok(Reply::empty(200))
        } else {
            list_objects(call, name)
        };
    };
    match operation {
        "PutObject" => {
            let upload = chunked::upload(call.request, caller)?;
            if stored.saturating_add(upload.body.len()) > MAX_STORED {
                let message = "The emulator's buckets are full (256 MiB).";
                return Err(AwsError::new(507, "EntityTooLarge", message));
            }
            let content_type = call.request.header("content-type");
            let object = Object {
                body: upload.body,
                content_type: content_type.unwrap_or("binary/octet-stream").to_owned(),
                checksum: upload.checksum,
                modified: call.now,
            };
            let mut reply = Reply::empty(200).header("etag", object.etag());
            reply.headers.extend(object.checksum.clone());
            objects.insert(key.to_owned(), object);
            Ok(reply)
        }
        "DeleteObject" => {
            objects.remove(key);
            Ok(Reply::empty(204))
        }
        _ => {
            let object = objects.get(key).ok_or_else(|| {
                AwsError::new(404, "NoSuchKey", "The specified key does not exist.")
            })?;
            let mut reply = Reply::new(200, &object.content_type, object.body.clone())
                .header("etag", object.etag())
                .header("last-modified", clock::http_date(object.modified));
            reply.headers.extend(object.checksum.clone());
            Ok(reply)
        }
    }
}

fn list_buckets(call: &Call<'_>) -> Reply {
    let buckets: Vec<Value> = call
        .state
        .buckets
        .keys()
        .map(|name| json!({"Name": name, "CreationDate": clock::rfc3339(0)}))
        .collect();
    let content = json!({
        "Owner": {"ID": "emulator", "DisplayName": "emulator"},
        "Buckets": {"Bucket": buckets},
    });
    let document = xml::document("ListAllMyBucketsResult", Some(NAMESPACE), &content);
    Reply::new(200, "application/xml", document)
}

fn list_objects(call: &Call<'_>, bucket: &str) -> Result<Reply, AwsError> {
    let query = call.request.query_pairs();
    let most = match query.get("max-keys") {
        None => MAX_KEYS,
        Some(text) => text.parse::<usize>().map(|most| most.min(MAX_KEYS)).map_err(|_| {
            AwsError::new(400, "InvalidArgument", "Provided max-keys not an integer")
        })?,
    };
    let prefix = query.get("prefix").unwrap_or_default();
    let delimiter = query.get("delimiter");
    let after = query.get("continuation-token").or_else(|| query.get("start-after"));
    let encode = query.get("encoding-type") == Some("url");
    let shown = |text: &str| if encode { url_encoded(text) } else { text.to_owned() };
    let mut contents = Vec::new();
    let mut common: Vec<String> = Vec::new();
    let mut last: Option<String> = None;
    let mut more = false;
    let objects = call.state.buckets.get(bucket);
    for (key, object) in objects.into_iter().flatten() {
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        if after.is_some_and(|after| {
            key.as_str() <= after || key.starts_with(after) && after.ends_with('/')
        }) {
            continue;
        }
        let group = delimiter.and_then(|d| {
            let at = rest.find(d)?.saturating_add(d.len());
            rest.get(..at).map(|group| format!("{prefix}{group}"))
        });
        if group.is_some() && group.as_ref() == common.last() {
            continue;
        }
        if contents.len().saturating_add(common.len()) >= most {
            more = true;
            break;
        }
        match group {
            Some(group) => {
                last = Some(group.clone());
                common.push(group);
            }
            None => {
                last = Some(key.clone());
                contents.push(json!({
                    "Key": shown(key),
                    "LastModified": clock::rfc3339(object.modified),
                    "ETag": object.etag(),
                    "Size": object.body.len(),
                    "StorageClass": "STANDARD",
                }));
            }
        }
    }
    let mut content = json!({
        "Name": bucket,
        "Prefix": shown(prefix),
        "MaxKeys": most,
        "KeyCount": contents.len().saturating_add(common.len()),
        "IsTruncated": more,
        "Contents": contents,
        "CommonPrefixes": common.iter().map(|p| json!({"Prefix": shown(p)})).collect::<Vec<_>>(),
    });
    if let Some(members) = content.as_object_mut() {
        if let (true, Some(last)) = (more, last) {
            members.insert("NextContinuationToken".into(), json!(last));
        }
        if let Some(delimiter) = delimiter {
            members.insert("Delimiter".into(), json!(shown(delimiter)));
        }
        if encode {
            members.insert("EncodingType".into(), json!("url"));
        }
    }
    let document = xml::document("ListBucketResult", Some(NAMESPACE), &content);
    Ok(Reply::new(200, "application/xml", document))
}

fn url_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
