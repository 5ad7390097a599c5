//! The groups that a provider has listed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::waiting::Wanted;
use super::{Notice, RefreshRequest, ScopeGroup, ScopeSelector, Target};
use crate::error::{Error, Result};
use crate::step::Scope;

/// See the module.
pub(super) struct KnownGroups {
    groups: Vec<Arc<ScopeGroup>>,
    by_scope: HashMap<Scope, Arc<ScopeGroup>>,
}

/// What a notice or a request means for the groups that there are.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) groups: BTreeMap<Arc<ScopeGroup>, Wanted>,
    /// How many targets there were, and how many of them are in no scope that is collected.
    pub(super) targets: usize,
    pub(super) unknown: usize,
}

impl Meant {
    fn whole(&mut self, group: &Arc<ScopeGroup>) {
        self.groups.insert(Arc::clone(group), Wanted::Whole);
    }

    fn target(&mut self, group: &Arc<ScopeGroup>, id: &Arc<str>) {
        let wanted = self.groups.entry(Arc::clone(group)).or_insert_with(|| Wanted::Targets(BTreeSet::new()));
        if let Wanted::Targets(ids) = wanted {
            ids.insert(Arc::clone(id));
        }
    }
}

impl KnownGroups {
    /// The groups as listed; each scope counts once.
    ///
    /// # Errors
    /// When one has a table that the provider does not have.
    pub(super) fn new(listed: Vec<ScopeGroup>, has_table: impl Fn(&str) -> bool) -> Result<Self> {
        let (mut groups, mut by_scope) = (Vec::new(), HashMap::new());
        for mut group in listed {
            if let Some(table) = group.tables.iter().find(|table| !has_table(table)) {
                let scope = group.scope(table);
                return Err(Error::internal(format!("the provider lists scope {scope}, but not that table")));
            }
            let mut own = BTreeSet::new();
            let (account_id, region) = (Arc::clone(&group.account_id), Arc::clone(&group.region));
            group.tables.retain(|table| {
                let (account_id, region) = (Arc::clone(&account_id), Arc::clone(&region));
                let scope = Scope { account_id, region, table: Arc::clone(table) };
                !by_scope.contains_key(&scope) && own.insert(Arc::clone(table))
            });
            if group.tables.is_empty() {
                continue;
            }
            let group = Arc::new(group);
            by_scope.extend(group.scopes().map(|scope| (scope, Arc::clone(&group))));
            groups.push(group);
        }
        Ok(Self { groups, by_scope })
    }

    /// All of them, in the order in which they were listed.
    pub(super) fn all(&self) -> &[Arc<ScopeGroup>] {
        &self.groups
    }

    /// What a notice means.
    pub(super) fn noticed(&self, notice: &Notice) -> Meant {
        let mut meant = Meant { targets: notice.targets.len(), ..Meant::default() };
        for Target { scope, id } in &notice.targets {
            match self.by_scope.get(scope) {
                Some(group) => meant.target(group, id),
                None => meant.unknown += 1,
            }
        }
        notice.whole.iter().flat_map(|selector| self.selected(selector)).for_each(|group| meant.whole(group));
        meant
    }

    /// What a request means: ids may be anywhere that is selected.
    pub(super) fn asked(&self, request: &RefreshRequest) -> Meant {
        let mut meant = Meant { targets: request.ids.len(), ..Meant::default() };
        for group in self.selected(&request.selector()) {
            match request.ids.is_empty() {
                true => meant.whole(group),
                false => request.ids.iter().for_each(|id| meant.target(group, id)),
            }
        }
        if meant.groups.is_empty() {
            meant.unknown = meant.targets;
        }
        meant
    }

    fn selected(&self, selector: &ScopeSelector) -> impl Iterator<Item = &Arc<ScopeGroup>> {
        self.groups.iter().filter(move |group| selector.takes(group))
    }
}
