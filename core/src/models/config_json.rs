//! `config.json`, as transformers writes it: what the weights do not tell, and what they must not contradict.

use serde_json::Value;

use crate::error::ModelError;

/// `config.json`, or the vision half of a whole CLIP's.
pub(super) struct ConfigJson(Option<Value>);

impl ConfigJson {
    /// Reads the text, where there is one.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, ModelError> {
        let Some(text) = text else { return Ok(Self(None)) };
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| ModelError::ConfigText { reason: error.to_string() })?;
        if !value.is_object() {
            return Err(ModelError::ConfigText { reason: "it is no JSON object of settings".to_owned() });
        }
        if let Some(vision) = value.get_mut("vision_config").filter(|vision| vision.is_object()) {
            value = vision.take();
        }
        Ok(Self(Some(value)))
    }

    /// Whether there is one.
    pub(super) fn is_present(&self) -> bool {
        self.0.is_some()
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    /// A word.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ModelError> {
        let Some(value) = self.field(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, "a word".to_owned(), value))
    }

    /// A yes or no; anything else is none.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.field(name)?.as_bool()
    }

    /// A number, not negative.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.field(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| *number >= 0.0);
        number.map(Some).ok_or_else(|| wrong(name, "a number, not negative".to_owned(), value))
    }

    /// A number from 0 to below `limit`.
    pub(super) fn number_below(&self, name: &str, limit: f64) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.field(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| (0.0..limit).contains(number));
        number.map(Some).ok_or_else(|| wrong(name, format!("a number from 0 to below {limit}"), value))
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.field(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        number.map(Some).ok_or_else(|| wrong(name, "a whole number".to_owned(), value))
    }

    /// A size that the weights tell too must not contradict them.
    pub(super) fn agrees(&self, name: &str, found: usize) -> Result<(), ModelError> {
        match self.integer(name)? {
            Some(stated) if stated != found => Err(ModelError::Config {
                field: name.to_owned(),
                expected: format!("{found}, as the weights have it"),
                found: stated.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

fn wrong(field: &str, expected: String, found: &Value) -> ModelError {
    ModelError::Config { field: field.to_owned(), expected, found: found.to_string() }
}
