//! The way to the TPM.

use core::fmt;
use core::str::FromStr as _;

use tss_esapi::tcti_ldr::{DeviceConfig, NetworkTPMConfig, TabrmdConfig, TctiNameConf};

use crate::error::{Result, TpmError};

/// The TPM Command Transmission Interface, as the tpm2 tools write it: `device:/dev/tpmrm0`,
/// `swtpm:host=127.0.0.1,port=2321`, `mssim:host=…,port=…` or `tabrmd`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tcti(String);

impl Tcti {
    /// The kernel's resource manager.
    pub const DEFAULT: &'static str = "device:/dev/tpmrm0";

    /// The variables that are read when a key names no TCTI, in this order.
    pub const VARIABLES: [&'static str; 2] = ["TPM2TOOLS_TCTI", "TCTI"];

    /// Checks the text.
    ///
    /// # Errors
    /// [`TpmError::Tcti`] says what is expected.
    pub fn parse(text: &str) -> Result<Self> {
        let tcti = Self(text.to_owned());
        tcti.config()?;
        Ok(tcti)
    }

    /// What the environment names, else the kernel's resource manager.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), with the name of the variable.
    pub fn from_env() -> Result<Self> {
        for name in Self::VARIABLES {
            let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
                continue;
            };
            return value
                .to_str()
                .map_or_else(|| Self::parse("\0"), Self::parse)
                .map_err(|error| TpmError::Tcti(format!("variable {name}: {error}")));
        }
        Ok(Self(Self::DEFAULT.to_owned()))
    }

    pub(crate) fn config(&self) -> Result<TctiNameConf> {
        const EXPECTED: &str = "a TCTI is device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321, \
            mssim:host=…,port=… or tabrmd:bus_name=…,bus_type=…";
        let bad = |help: &str| TpmError::Tcti(format!("{help}; {EXPECTED}"));
        let (name, config) = self.0.split_once(':').unwrap_or((&self.0, ""));
        if config.contains('\0') {
            return Err(bad("a NUL character"));
        }
        let options = |known: &[&str]| {
            let unknown = config.split(',').filter(|_| !config.is_empty()).any(|option| {
                !option.split_once('=').is_some_and(|(name, _)| known.contains(&name))
            });
            if unknown { Err(bad("an unknown option of the TCTI")) } else { Ok(()) }
        };
        match name {
            "device" => {
                let path = if config.is_empty() { "/dev/tpmrm0" } else { config };
                DeviceConfig::from_str(path).map(TctiNameConf::Device).map_err(|_| bad("the path"))
            }
            "swtpm" | "mssim" => {
                options(&["host", "port"])?;
                let network =
                    NetworkTPMConfig::from_str(config).map_err(|_| bad("a wrong host or port"))?;
                Ok(if name == "swtpm" {
                    TctiNameConf::Swtpm(network)
                } else {
                    TctiNameConf::Mssim(network)
                })
            }
            "tabrmd" => {
                options(&["bus_name", "bus_type"])?;
                TabrmdConfig::from_str(config)
                    .map(TctiNameConf::Tabrmd)
                    .map_err(|_| bad("a wrong bus name or type"))
            }
            _ => Err(bad("an unknown kind of TCTI")),
        }
    }

    /// Whether a simulator is at the other end: nobody else starts it up.
    pub(crate) fn is_simulator(&self) -> bool {
        self.0.starts_with("swtpm") || self.0.starts_with("mssim")
    }
}

impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for good in [
            "device",
            "device:/dev/tpmrm0",
            "device:/dev/tpm0",
            "swtpm",
            "swtpm:host=127.0.0.1,port=2321",
            "swtpm:port=2321",
            "mssim:host=localhost,port=2321",
            "tabrmd",
            "tabrmd:bus_name=com.intel.tss2.Tabrmd,bus_type=session",
        ] {
            assert!(Tcti::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/dev/tpm0",
            "devices:/dev/tpm0",
            "swtpm:host=",
            "swtpm:port=65536",
            "swtpm:path=/run/x",
            "swtpm:127.0.0.1",
            "tabrmd:bus_type=none",
            "cmd:sh -c true",
            "libtss2-tcti-device.so:/dev/tpm0",
            "device:\0",
        ] {
            let error = Tcti::parse(bad).unwrap_err().to_string();
            assert!(error.contains("a TCTI is device:/dev/tpmrm0"), "{bad}: {error}");
        }
    }
}
