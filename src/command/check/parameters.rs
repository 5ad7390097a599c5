//! `--param CONTROL.NAME=VALUE`: values of parameters, of the types that their declarations say.

use std::sync::Arc;

use tidegate_operators::check::pack::ParameterType;
use tidegate_operators::check::plan::EVERY_CONTROL;
use tidegate_pipeline::spec::diagnostic::{Located, closest};
use tidegate_pipeline::spec::{NOWHERE, Tree};

use super::narrow::Node;
use super::report::field;
use crate::exit::Failure;

/// The value of a parameter, as written.
pub(super) struct Assignment {
    /// The control, or `*` for every one that has the parameter.
    control: String,
    name: String,
    value: String,
}

type Entries = Vec<(Located<Arc<str>>, Located<Tree>)>;

impl Assignment {
    /// Reads `CONTROL.NAME=VALUE`.
    ///
    /// # Errors
    /// When it is of another form.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let parts = text.split_once('=').and_then(|(parameter, value)| {
            let (control, name) = parameter.rsplit_once('.')?;
            Some((control.trim(), name.trim(), value))
        });
        match parts {
            Some((control, name, value)) if !control.is_empty() && !name.is_empty() => {
                Ok(Self { control: control.to_owned(), name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(Failure::usage(format!(
                "--param {text}: write CONTROL.NAME=VALUE, or *.NAME=VALUE for every control"
            ))),
        }
    }

    /// Whether one of the nodes has the control and the parameter.
    ///
    /// # Errors
    /// Says what there is instead.
    pub(super) fn is_for_one_of(&self, nodes: &[Node<'_>]) -> Result<(), Failure> {
        if nodes.iter().any(|node| self.kind_in(node).is_some()) {
            return Ok(());
        }
        let controls: Vec<String> = nodes.iter().flat_map(controls_of).collect();
        if self.control != EVERY_CONTROL && !controls.contains(&self.control) {
            let near = closest(&self.control, &controls).map(|near| format!("\nhelp: did you mean `{near}`?"));
            let message = format!("--param: there is no control `{}`{}", self.control, near.unwrap_or_default());
            return Err(Failure::usage(message));
        }
        let mut names: Vec<String> = nodes.iter().flat_map(|node| self.names_in(node)).collect();
        names.sort();
        names.dedup();
        let what = match &*self.control {
            EVERY_CONTROL => "no control has".to_owned(),
            control => format!("control `{control}` has not"),
        };
        let help = match (closest(&self.name, &names), names.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "it has no parameters".to_owned(),
            (None, false) => format!("parameters that are there: {}", names.join(", ")),
        };
        Err(Failure::usage(format!("--param: {what} the parameter `{}`\nhelp: {help}", self.name)))
    }

    /// `params` of a node with what is assigned to its controls; `None` where nothing is.
    ///
    /// # Errors
    /// When a value is not of its parameter's type.
    pub(super) fn merged(assignments: &[Self], node: &Node<'_>) -> Result<Option<Tree>, Failure> {
        let mut params = match field(&node.spec.options, "params") {
            Some(Tree::Map(entries)) => entries.clone(),
            _ => Vec::new(),
        };
        let mut any = false;
        // What is said of one control counts more than what is said of all.
        let (of_all, of_one): (Vec<&Self>, Vec<&Self>) =
            assignments.iter().partition(|assignment| assignment.control == EVERY_CONTROL);
        for assignment in of_all.into_iter().chain(of_one) {
            let Some(kind) = assignment.kind_in(node) else { continue };
            let value = assignment.typed(kind)?;
            any = true;
            if node.pack.is_none() {
                put(&mut params, &assignment.name, value);
                continue;
            }
            if assignment.control == EVERY_CONTROL {
                forget(&mut params, &assignment.name);
            }
            let key = assignment.key_in(node);
            let mut of_control = match entry(&params, &key) {
                Some(Tree::Map(entries)) => entries.clone(),
                _ => Vec::new(),
            };
            put(&mut of_control, &assignment.name, value);
            put(&mut params, &key, Tree::Map(of_control));
        }
        Ok(any.then_some(Tree::Map(params)))
    }

    /// The type of the parameter in a node's controls; `None` where there is no such parameter.
    fn kind_in(&self, node: &Node<'_>) -> Option<ParameterType> {
        let Some(pack) = &node.pack else {
            let is_meant = self.control == EVERY_CONTROL || *self.control == **node.spec.name;
            let Some(Tree::Map(params)) = field(&node.spec.options, "params").filter(|_| is_meant) else {
                return None;
            };
            return entry(params, &self.name).map(kind_of);
        };
        let declared = match &*self.control {
            EVERY_CONTROL => pack.controls.iter().find_map(|control| control.parameters.get(&self.name)),
            control => {
                let control = pack.control(control)?;
                control.parameters.get(&self.name)
            }
        };
        declared.or_else(|| pack.variables.get(&self.name)).map(|parameter| parameter.kind)
    }

    /// The key that the pipeline's `params` have for the control, which may be one of its former ids.
    fn key_in(&self, node: &Node<'_>) -> String {
        let control = node.pack.as_ref().and_then(|pack| pack.control(&self.control));
        control.map_or_else(|| self.control.clone(), |control| control.id.to_string())
    }

    /// The names of the parameters that the control has.
    fn names_in(&self, node: &Node<'_>) -> Vec<String> {
        let Some(pack) = &node.pack else {
            let is_meant = self.control == EVERY_CONTROL || *self.control == **node.spec.name;
            return match field(&node.spec.options, "params").filter(|_| is_meant) {
                Some(Tree::Map(params)) => params.iter().map(|(name, _)| name.to_string()).collect(),
                _ => Vec::new(),
            };
        };
        let is_meant = |id: &str| self.control == EVERY_CONTROL || self.control == id;
        let meant = pack.controls.iter().filter(|control| is_meant(&control.id));
        meant.flat_map(|control| control.parameters.keys()).chain(pack.variables.keys()).cloned().collect()
    }

    /// The value as its parameter's type.
    fn typed(&self, kind: ParameterType) -> Result<Tree, Failure> {
        let Self { control, name, value } = self;
        let mismatch = || {
            let example = match kind {
                ParameterType::Int => "30",
                ParameterType::Float => "0.5",
                ParameterType::Text => "words",
                ParameterType::Bool => "true",
                ParameterType::Texts => "one,two",
                ParameterType::Ints => "22,443",
            };
            let message = format!("--param {control}.{name}: `{value}` is not {}", kind.name());
            Failure::usage(format!("{message}\nhelp: write it like {control}.{name}={example}"))
        };
        let items = || {
            let inner = value.trim();
            let inner = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(inner);
            inner.split(',').map(str::trim).filter(|item| !item.is_empty())
        };
        let list = |items: Vec<Tree>| Tree::List(items.into_iter().map(|item| Located::new(item, NOWHERE)).collect());
        let integer = |text: &str| text.trim().parse().map(Tree::Integer).map_err(|_| mismatch());
        match kind {
            ParameterType::Int => integer(value),
            ParameterType::Float => {
                let number: f64 = value.trim().parse().map_err(|_| mismatch())?;
                if number.is_finite() { Ok(Tree::Float(number)) } else { Err(mismatch()) }
            }
            ParameterType::Text => Ok(Tree::Text(value.as_str().into())),
            ParameterType::Bool => value.trim().parse().map(Tree::Bool).map_err(|_| mismatch()),
            ParameterType::Texts => Ok(list(items().map(|item| Tree::Text(item.into())).collect())),
            ParameterType::Ints => Ok(list(items().map(integer).collect::<Result<_, _>>()?)),
        }
    }
}

/// The controls of a node by id.
fn controls_of(node: &Node<'_>) -> Vec<String> {
    match &node.pack {
        Some(pack) => pack.controls.iter().map(|control| control.id.to_string()).collect(),
        None => vec![node.spec.name.to_string()],
    }
}

fn entry<'a>(entries: &'a Entries, key: &str) -> Option<&'a Tree> {
    entries.iter().find(|(name, _)| &*name.value == key).map(|(_, value)| &value.value)
}

fn put(entries: &mut Entries, key: &str, value: Tree) {
    entries.retain(|(name, _)| &*name.value != key);
    entries.push((Located::new(key.into(), NOWHERE), Located::new(value, NOWHERE)));
}

/// Takes a parameter from what the pipeline says of single controls.
fn forget(params: &mut Entries, name: &str) {
    for (_, of_control) in params {
        if let Tree::Map(values) = &mut of_control.value {
            values.retain(|(known, _)| &*known.value != name);
        }
    }
}

/// The type that a value in a pipeline has.
fn kind_of(value: &Tree) -> ParameterType {
    match value {
        Tree::Integer(_) => ParameterType::Int,
        Tree::Float(_) => ParameterType::Float,
        Tree::Bool(_) => ParameterType::Bool,
        Tree::List(items) if matches!(items.first().map(|item| &item.value), Some(Tree::Integer(_))) => {
            ParameterType::Ints
        }
        Tree::List(_) => ParameterType::Texts,
        Tree::Text(_) | Tree::Null | Tree::Map(_) => ParameterType::Text,
    }
}
