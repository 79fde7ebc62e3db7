//! The prices of a month.
//!
//! These are assumptions: rounded prices of the size that the large clouds ask on demand, in US
//! dollars, without taxes, discounts and traffic. Use your own.

use serde::Serialize;
use serde_json::Value;

use crate::quantity::parse_price;

macro_rules! prices {
    ($($name:ident: $value:literal, $meaning:literal;)*) => {
        /// The price of a month of each thing, in US dollars.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[non_exhaustive]
        pub struct Prices {
            $(#[doc = $meaning] pub $name: f64,)*
        }

        impl Default for Prices {
            fn default() -> Self {
                Self { $($name: $value as f64,)* }
            }
        }

        impl Prices {
            pub(crate) fn rows(&self) -> Vec<(&'static str, f64, &'static str)> {
                vec![$((stringify!($name), self.$name, $meaning),)*]
            }

            fn find(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

prices! {
    vcpu: 25, "a virtual processor";
    memory_gb: 3, "a gigabyte of memory";
    disk_gb: 0.12, "a gigabyte of disk";
    backup_gb: 0.025, "a gigabyte of object storage";
    balancer: 40, "a load balancer";
    managed_factor: 1.8, "processors and memory of a managed database, as a multiple of the above";
}

impl Prices {
    /// Sets a price: `name=usd`.
    ///
    /// # Errors
    ///
    /// A sentence for people if there is no such price or the value is not a number.
    pub fn set(&mut self, setting: &str) -> Result<(), String> {
        let malformed = format!("`{setting}` is not of the form NAME=USD; names: {}", self.names());
        let (name, value) = setting.split_once('=').ok_or(malformed)?;
        let value = parse_price(value).map_err(|error| format!("{name}: {error}"))?;
        let unknown = format!("there is no price `{name}`; names: {}", self.names());
        *self.find(name).ok_or(unknown)? = value;
        Ok(())
    }

    /// Sets the prices of a JSON object such as `{"vcpu": 20, "disk_gb": 0.1}`.
    ///
    /// # Errors
    ///
    /// A sentence for people if the text is not such an object.
    pub fn set_json(&mut self, text: &str) -> Result<(), String> {
        let prices: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let prices = prices.as_object().ok_or("is not a JSON object of prices")?;
        for (name, price) in prices {
            let price =
                price.as_f64().ok_or_else(|| format!("{name}: `{price}` is not a number"))?;
            self.set(&format!("{name}={price}"))?;
        }
        Ok(())
    }

    fn names(&self) -> String {
        self.rows().iter().map(|row| row.0).collect::<Vec<_>>().join(", ")
    }
}
