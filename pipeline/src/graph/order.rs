//! The order in which nodes are planned: inputs first; a cycle is an error that names it.

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

/// Indices of `nodes` so that each comes after everything that it reads, otherwise in the order of the file.
///
/// # Errors
/// One diagnostic per cycle, naming its nodes.
pub(super) fn topological(nodes: &[&NodeSpec]) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let by_name: HashMap<&str, usize> = nodes.iter().enumerate().map(|(i, node)| (&**node.name, i)).collect();
    let mut walk =
        Walker { nodes, by_name, state: vec![Walk::NotYet; nodes.len()], order: Vec::new(), cycles: Vec::new() };
    for index in 0..nodes.len() {
        walk.visit(index, &mut Vec::new());
    }
    if walk.cycles.is_empty() { Ok(walk.order) } else { Err(walk.cycles) }
}

struct Walker<'a> {
    nodes: &'a [&'a NodeSpec],
    by_name: HashMap<&'a str, usize>,
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
        for reference in &self.nodes[index].from {
            if let Some(&producer) = self.by_name.get(&*reference.node) {
                self.visit(producer, path);
            }
        }
        path.pop();
        self.state[index] = Walk::Done;
        self.order.push(index);
    }

    fn report(&mut self, index: usize, path: &[usize]) {
        let start = path.iter().position(|&on_path| on_path == index).unwrap_or(0);
        let mut names: Vec<&str> = path[start..].iter().rev().map(|&i| &**self.nodes[i].name).collect();
        names.push(names[0]);
        let message = format!("these nodes feed each other in a circle: {}", names.join(" → "));
        let help = "a pipeline is a graph without cycles: let one of them read from somewhere else";
        self.cycles.push(Diagnostic::error(self.nodes[index].name.place, message).with_help(help));
    }
}
