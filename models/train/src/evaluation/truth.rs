//! What the data says, in the model's words.

use models::bundle::{Disposition, Label};

use crate::error::TrainError;
use crate::samples::Class;

/// A class of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueClass {
    /// Its name in the data.
    pub name: String,
    /// The model's label of that name; `None` where the model knows no such label.
    pub label: Option<usize>,
    /// Whether nothing is wrong with such a part.
    pub good: bool,
}

impl TrueClass {
    /// Whether a model that says this label is right. Of a class that it has no label for, all that can be asked is whether it
    /// tells good from bad.
    pub fn accepts(&self, said: usize, labels: &[Label]) -> bool {
        match self.label {
            Some(label) => said == label,
            None => (labels[said].verdict == Disposition::Pass) == self.good,
        }
    }
}

/// The model's own labels as classes: data that is labelled in the model's words.
pub fn same_labels(labels: &[Label]) -> Vec<TrueClass> {
    let class = |(at, label): (usize, &Label)| TrueClass {
        name: label.name.clone(),
        label: Some(at),
        good: label.verdict == Disposition::Pass,
    };
    labels.iter().enumerate().map(class).collect()
}

/// Classes of data in which one name means a good part and every other a bad one, whether or not the model knows it.
///
/// # Errors
/// When the data has no such class, or the model no label that passes a part.
pub fn against_good(data: &[Class], good: &str, labels: &[Label]) -> Result<Vec<TrueClass>, TrainError> {
    if !data.iter().any(|class| class.name == good) {
        let names = data.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(TrainError::Data(format!("the data has no class `{good}` to be the good one; it has: {names}")));
    }
    if !labels.iter().any(|label| label.verdict == Disposition::Pass) {
        return Err(TrainError::Data(
            "the model has no label that passes a part, so it cannot tell good parts from bad ones; leave `--good-label` out \
             to measure its labels"
                .into(),
        ));
    }
    let class = |class: &Class| {
        let is_good = class.name == good;
        // A label of the same name that means the opposite would count a right answer as wrong.
        let same = |label: &Label| label.name == class.name && (label.verdict == Disposition::Pass) == is_good;
        TrueClass { name: class.name.clone(), label: labels.iter().position(same), good: is_good }
    };
    Ok(data.iter().map(class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, verdict: Disposition) -> Label {
        Label { name: name.into(), verdict, threshold: 0.5 }
    }

    #[test]
    fn folders_that_the_model_never_heard_of_are_bad_parts() {
        let labels = [label("anomaly", Disposition::Fail), label("good", Disposition::Pass)];
        let data = ["broken", "good"].map(Class::named);
        let classes = against_good(&data, "good", &labels).unwrap();
        assert_eq!(classes[0], TrueClass { name: "broken".into(), label: None, good: false });
        assert!(classes[0].accepts(0, &labels) && !classes[0].accepts(1, &labels));
        assert!(classes[1].accepts(1, &labels) && !classes[1].accepts(0, &labels));

        let renamed = against_good(&data, "broken", &labels).unwrap();
        assert_eq!(renamed[1].label, None, "the model's `good` is no label for parts that the data calls bad");
        assert!(renamed[1].accepts(0, &labels));

        let missing = against_good(&data, "ok", &labels).unwrap_err().to_string();
        assert!(missing.contains("no class `ok`") && missing.contains("broken, good"), "{missing}");
        let blind = against_good(&data, "good", &[label("pit", Disposition::Fail)]).unwrap_err().to_string();
        assert!(blind.contains("no label that passes"), "{blind}");
    }
}
