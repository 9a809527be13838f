//! Regions, the names of regional endpoints, and ARNs.

use crate::out::Sink;
use crate::{Error, Result};

/// The prefix of a partition's regions, its name, and the domain of its endpoints; the last is every other
/// region's. Source: botocore's `partitions.json`.
const PARTITIONS: [(&str, &str, &str); 8] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("", "aws", "amazonaws.com"),
];

/// The partition of a region, as ARNs name it, and the domain of its endpoints.
fn of_region(region: &str) -> (&'static str, &'static str) {
    let of = PARTITIONS.iter().find(|(prefix, ..)| region.starts_with(prefix));
    of.map_or(("aws", "amazonaws.com"), |(_, partition, suffix)| (partition, suffix))
}

/// The partition of a region, as ARNs name it.
pub(crate) fn partition(region: &str) -> &'static str {
    of_region(region).0
}

/// Appends `service.region.suffix`.
pub(crate) fn regional_host(service: &str, region: &str, out: &mut impl Sink) {
    for part in [service, ".", region, ".", of_region(region).1] {
        out.text(part);
    }
}

/// Refuses what cannot be a region: it becomes part of a host name and of the credential scope.
pub(crate) fn check_region(region: &str) -> Result<()> {
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if region.is_empty() || region.len() > 32 || !region.bytes().all(ok) {
        return Err(Error::invalid("region", "expected a region name such as eu-central-1"));
    }
    Ok(())
}

/// The parts of `arn:partition:service:region:account:resource`.
#[derive(Clone, Copy)]
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN of `service` whose resource starts with `resource`; `wrong` is the error otherwise.
    pub(crate) fn parse(
        text: &'a str,
        service: &str,
        resource: &str,
        wrong: Error,
    ) -> Result<Self> {
        Self::read(text, service, resource, is_account).ok_or(wrong)
    }

    fn read(
        text: &'a str,
        service: &str,
        resource: &str,
        owner: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let mut what = text;
        let mut next = || {
            let end = what.bytes().position(|c| c == b':')?;
            let part = what.get(..end)?;
            what = what.get(end + 1..)?;
            Some(part)
        };
        let (arn, partition, of, region, account) = (next()?, next()?, next()?, next()?, next()?);
        let name = what.strip_prefix(resource).unwrap_or_default();
        let good = arn == "arn"
            && (partition == "aws" || partition.starts_with("aws-"))
            && of == service
            && owner(account)
            && !name.is_empty()
            && name.len() <= 1024
            && name.bytes().all(|c| c.is_ascii_graphic())
            && (region.is_empty() || check_region(region).is_ok());
        good.then_some(Self { partition, region, account })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

/// Refuses what is no ARN of a `resource` of IAM, which has no region. AWS's own resources, which have
/// `aws` in place of the account, are good if `managed`.
pub(crate) fn check_iam_arn(text: &str, resource: &str, managed: bool, wrong: Error) -> Result<()> {
    let owner = |account: &str| is_account(account) || managed && account == "aws";
    match Arn::read(text, "iam", resource, owner) {
        Some(Arn { region: "", .. }) => Ok(()),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Out;

    #[test]
    fn hosts_of_every_partition() {
        for (region, host) in [
            ("eu-central-1", "rolesanywhere.eu-central-1.amazonaws.com"),
            ("cn-north-1", "rolesanywhere.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "rolesanywhere.us-gov-west-1.amazonaws.com"),
            ("us-iso-east-1", "rolesanywhere.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "rolesanywhere.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", "rolesanywhere.eusc-de-east-1.amazonaws.eu"),
        ] {
            let mut buf = [0u8; 80];
            let mut out = Out::new(&mut buf);
            regional_host("rolesanywhere", region, &mut out);
            assert_eq!(out.finish().unwrap(), host.as_bytes());
        }
    }

    #[test]
    fn regions_and_arns() {
        assert!(check_region("us-east-1").is_ok());
        for bad in ["", "US-EAST-1", "us-east-1.evil.example", "a/b", "us east"] {
            assert!(check_region(bad).is_err(), "{bad}");
        }
        let wrong = Error::invalid("x ARN", "y");
        let parse = |s| Arn::parse(s, "iam", "role/", wrong).map(|a| a.region);
        assert_eq!(parse("arn:aws-cn:iam::123456789012:role/path/r"), Ok(""));
        for bad in [
            "",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/u",
            "arn:aws:iam::12345678901:role/r",
            "arn:aws:sts::123456789012:role/r",
            "arn:gcp:iam::123456789012:role/r",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:iam:A:123456789012:role/r",
        ] {
            assert_eq!(parse(bad), Err(wrong), "{bad}");
        }
    }
    #[test]
    fn arns_of_iam() {
        let wrong = Error::invalid("x ARN", "y");
        let check = |s: &str, managed| check_iam_arn(s, "policy/", managed, wrong).is_ok();
        for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b", "aws-eusc"] {
            assert!(check(&format!("arn:{partition}:iam::123456789012:policy/p"), false));
            let managed = format!("arn:{partition}:iam::aws:policy/job-function/Billing");
            assert!(check(&managed, true) && !check(&managed, false));
        }
        for bad in [
            "arn:aws:iam:us-east-1:123456789012:policy/p",
            "arn:aws:iam::AWS:policy/p",
            "arn:aws:iam::aws:role/p",
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::aws:policy/a b",
            "arn:awsx:iam::aws:policy/p",
            "arn:aws:iam::policy/p",
        ] {
            assert!(!check(bad, true), "{bad}");
        }
    }
}
