//! The proxy variables.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::{Endpoint, TransportError};

/// The proxies for `https`, out of `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Plain `http` goes to
/// loopback hosts only, for which there is no proxy.
pub(crate) struct Proxies(Option<Matcher>);

/// Where to ask for a tunnel.
pub(crate) struct Proxy {
    /// Of the proxy itself.
    pub(crate) endpoint: Endpoint,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxies {
    pub(crate) const NONE: Self = Self(None);

    /// Reads the variables: the upper-case name first, as curl and hyper do; an empty one is not set.
    ///
    /// # Errors
    /// For a variable that names no usable proxy: going without it would leave the way that was asked
    /// for.
    pub(crate) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TransportError> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                variable(name).filter(|value| !value.is_empty()).map(|value| (name, value))
            })
        };
        let Some((name, url)) =
            first(["HTTPS_PROXY", "https_proxy"]).or_else(|| first(["ALL_PROXY", "all_proxy"]))
        else {
            return Ok(Self::NONE);
        };
        let all = Matcher::builder().https(url.as_str()).build();
        let usable = all.intercept(&Uri::from_static("https://host")).map(Proxy::new);
        if !matches!(usable, Some(Ok(_))) {
            let help = format!(
                "the variable {name} names none that can be used; expected http://[user:password@]host[:port] or https://…, or no such variable"
            );
            return Err(TransportError::config("proxy", help));
        }
        let no = first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
        Ok(Self(Some(Matcher::builder().https(url).no(no).build())))
    }

    /// The proxy for an endpoint, if there is one. Never for loopback hosts, as in Go: a proxy could only
    /// reach its own.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, TransportError> {
        let Some(matcher) = self.0.as_ref().filter(|_| !endpoint.is_loopback()) else {
            return Ok(None);
        };
        let uri = format!("https://{}/", endpoint.host_and_port()).parse::<Uri>().ok();
        uri.and_then(|uri| matcher.intercept(&uri)).map(Proxy::new).transpose()
    }
}

impl Proxy {
    fn new(intercept: Intercept) -> Result<Self, TransportError> {
        let bad = || TransportError::config("proxy", "expected http or https, and a host");
        let uri = intercept.uri();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let endpoint = Endpoint::proxy(tls, authority)?;
        Ok(Self { endpoint, authorization: intercept.basic_auth().cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, TransportError> {
        Proxies::from_variables(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn variables() {
        let via = |variables: &[(&str, &str)], url: &str| {
            let proxy = proxies(variables).unwrap().of(&Endpoint::parse(url).unwrap()).unwrap();
            proxy.map(|p| p.endpoint.to_string())
        };
        let sts = "https://sts.example";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(via(&[], sts), None);
        assert_eq!(via(&[("HTTPS_PROXY", "")], sts), None);
        assert_eq!(via(&[("HTTP_PROXY", "http://p:1")], sts), None);
        assert_eq!(
            via(&[("HTTPS_PROXY", "http://p.example:3128")], sts),
            some("http://p.example:3128")
        );
        assert_eq!(via(&[("https_proxy", "p.example:3128")], sts), some("http://p.example:3128"));
        assert_eq!(via(&[("all_proxy", "https://p.example")], sts), some("https://p.example"));
        let both = [("ALL_PROXY", "http://a"), ("HTTPS_PROXY", "http://b")];
        assert_eq!(via(&both, sts), some("http://b"));
        let no = |list| [("HTTPS_PROXY", "http://p"), ("no_proxy", list)];
        assert_eq!(via(&no("other.example, .example"), sts), None);
        assert_eq!(via(&no("*"), sts), None);
        assert_eq!(via(&no("sts.example"), sts), None);
        assert_eq!(via(&no("ts.example"), sts), some("http://p"));
        assert_eq!(via(&no("10.0.0.0/8"), "https://10.1.2.3"), None);
        assert_eq!(via(&no("10.0.0.0/8"), "https://11.1.2.3"), some("http://p"));
        assert_eq!(via(&no(""), "https://localhost:8443"), None);
        assert_eq!(via(&no(""), "https://[::1]:8443"), None);
    }

    #[test]
    fn refusals_and_credentials() {
        for url in
            ["socks5://p:1080", "ftp://p", "http://", "http://us er:secret@p", "http://:8080"]
        {
            let error = proxies(&[("HTTPS_PROXY", url)]).err().unwrap().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
        let proxies = proxies(&[("HTTPS_PROXY", "http://Aladdin:open%20sesame@p:1")]).unwrap();
        let proxy = proxies.of(&Endpoint::parse("https://sts.example").unwrap()).unwrap().unwrap();
        assert_eq!(proxy.authorization.unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(proxy.endpoint.host_and_port(), "p:1");
    }
}
