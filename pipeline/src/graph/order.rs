//! The order of nodes of which some need others; a cycle is an error that names it.

use std::collections::HashMap;

use crate::spec::diagnostic::Diagnostic;
use crate::spec::pipeline::NodeSpec;

/// How far a node has been walked.
#[derive(Clone, Copy, PartialEq)]
enum Walk {
    NotYet,
    OnThePath,
    Done,
}

/// What is said of nodes that need each other.
pub(super) struct Circle {
    pub(super) what: &'static str,
    pub(super) help: &'static str,
}

/// Indices of `nodes` so that each comes after everything that it `needs`, by name, otherwise in the order of the file.
///
/// # Errors
/// One diagnostic per cycle, naming its nodes.
pub(super) fn topological<'a>(
    nodes: &[&'a NodeSpec],
    needs: impl Fn(&'a NodeSpec) -> Vec<&'a str>,
    circle: &Circle,
) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let by_name: HashMap<&str, usize> = nodes.iter().enumerate().map(|(i, node)| (&**node.name, i)).collect();
    let needed = |node: &&'a NodeSpec| needs(node).iter().filter_map(|name| by_name.get(name).copied()).collect();
    let mut walk = Walker {
        nodes,
        needs: nodes.iter().map(needed).collect(),
        circle,
        state: vec![Walk::NotYet; nodes.len()],
        order: Vec::new(),
        cycles: Vec::new(),
    };
    for index in 0..nodes.len() {
        walk.visit(index, &mut Vec::new());
    }
    if walk.cycles.is_empty() { Ok(walk.order) } else { Err(walk.cycles) }
}

struct Walker<'a> {
    nodes: &'a [&'a NodeSpec],
    /// What each node needs.
    needs: Vec<Vec<usize>>,
    circle: &'a Circle,
    state: Vec<Walk>,
    order: Vec<usize>,
    cycles: Vec<Diagnostic>,
}

impl Walker<'_> {
    fn visit(&mut self, index: usize, path: &mut Vec<usize>) {
        match self.state[index] {
            Walk::Done => return,
            Walk::OnThePath => return self.report(index, path),
            Walk::NotYet => {}
        }
        self.state[index] = Walk::OnThePath;
        path.push(index);
        for needed in std::mem::take(&mut self.needs[index]) {
            self.visit(needed, path);
        }
        path.pop();
        self.state[index] = Walk::Done;
        self.order.push(index);
    }

    fn report(&mut self, index: usize, path: &[usize]) {
        let start = path.iter().position(|&on_path| on_path == index).unwrap_or(0);
        let mut names: Vec<&str> = path[start..].iter().rev().map(|&i| &**self.nodes[i].name).collect();
        names.push(names[0]);
        let message = format!("{} in a circle: {}", self.circle.what, names.join(" → "));
        self.cycles.push(Diagnostic::error(self.nodes[index].name.place, message).with_help(self.circle.help));
    }
}
