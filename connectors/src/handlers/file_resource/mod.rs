//! `file_resource`: files of this machine with their contents, owners and permissions.

mod accounts;
mod disk;
#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::sink::{FieldDescription, HandlerKind, OpenHandler, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, Handler, HandlerContext, Reading, Resource, ResourceType};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use disk::{Attributes, hash};

const FIELDS: &[FieldDescription] = &[
    field("content", "what stands in the file. Reports and plans show its SHA-256 (`hash`), not itself."),
    field("hash", "the SHA-256 that the content has to have; without `content` it is only checked."),
    field("owner", "the user that owns it, by name or number."),
    field("group", "the group that owns it, by name or number."),
    field("permissions", "who may do what, as `'0640'`."),
];

/// The options of `file_resource` itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileResourceOptions {
    /// The folder in which all files have to be; others are refused.
    pub within: Option<PathBuf>,
}

/// The kind `file_resource`.
#[derive(Debug, Clone, Copy)]
pub struct FileResourceKind;

impl HandlerKind for FileResourceKind {
    type Own = FileResourceOptions;

    fn name(&self) -> &'static str {
        "file_resource"
    }

    fn summary(&self) -> &'static str {
        "Enforces files of this machine: content, owner, group, permissions"
    }

    fn resource_type(&self) -> ResourceType {
        ResourceType::new("std", "File", "path")
    }

    fn fields(&self) -> Option<&'static [FieldDescription]> {
        Some(FIELDS)
    }

    fn agent_of(&self, _id: &str) -> Option<String> {
        Some("local".to_owned())
    }

    fn plan(
        &self,
        own: FileResourceOptions,
        _options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<Box<dyn OpenHandler>, Vec<Diagnostic>> {
        let folder = context.working_directory.clone();
        let within = own.within.map(|within| folder.join(within));
        Ok(Box::new(Planned(FileResource { folder, within })))
    }
}

struct Planned(FileResource);

#[async_trait]
impl OpenHandler for Planned {
    async fn open(&self, _node: &Arc<str>) -> Result<Arc<dyn Handler>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// The handler. The id of a resource is the path of its file; a relative one is relative to the working directory.
#[derive(Debug, Clone)]
struct FileResource {
    folder: PathBuf,
    within: Option<PathBuf>,
}

impl FileResource {
    fn path(&self, resource: &Resource) -> Result<PathBuf> {
        let path = self.folder.join(&resource.id.value);
        let climbs = Path::new(&resource.id.value).components().any(|part| part == Component::ParentDir);
        match &self.within {
            Some(within) if climbs || !path.starts_with(within) => {
                let message = format!("`{}` is not in {} (`within`)", resource.id.value, within.display());
                Err(Error::user(message).with_remedy("name a file in that folder, without `..`"))
            }
            _ => Ok(path),
        }
    }

    /// What the file shall be, as far as it concerns its attributes.
    fn attributes(resource: &Resource) -> Result<Attributes> {
        let text = |name: &str| match resource.field(name) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            other => Err(Error::user(format!("`{name}` of {} is no text: {other}", resource.id))),
        };
        let permissions = match resource.field("permissions") {
            Value::Null => None,
            Value::String(text) => Some(disk::permissions(text)?),
            other => {
                return Err(Error::user(format!("`permissions` of {} is {other}", resource.id))
                    .with_remedy("write it as text in octal digits: \"'0640'\""));
            }
        };
        Ok(Attributes {
            permissions,
            owner: text("owner")?.map(|name| accounts::user(&name)).transpose()?,
            group: text("group")?.map(|name| accounts::group(&name)).transpose()?,
        })
    }

    /// Makes the file what it shall be, as one step.
    async fn write(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        let path = self.path(resource)?;
        let attributes = Self::attributes(resource)?;
        let content = match (resource.text("content"), resource.text("hash")) {
            (Some(content), Some(wanted)) if hash(content.as_bytes()) != wanted => {
                return Err(
                    Error::user(format!("`content` of {} does not have the `hash` {wanted}", resource.id)).into()
                );
            }
            (Some(content), _) => content.as_bytes().to_vec(),
            (None, Some(wanted)) => {
                let message =
                    format!("the content of {} has not the hash {wanted}, and there is no `content`", resource.id);
                return Err(Error::user(message).with_remedy("give its `content`").into());
            }
            (None, None) => Vec::new(),
        };
        context.info("Writing %(bytes)s bytes to %(path)s", &[("bytes", &content.len()), ("path", &path)]);
        blocking(move || disk::write(&path, &content, attributes)).await?;
        Ok(())
    }
}

#[async_trait]
impl Handler for FileResource {
    fn compared(&self, resource: &Resource) -> Fields {
        let mut fields = resource.fields.clone();
        if let Some(content) = resource.text("content") {
            fields.insert("hash".to_owned(), json!(hash(content.as_bytes())));
        }
        fields.shift_remove("content");
        // Numbers and names are one and the same: they are compared as the disk names them.
        if let Ok(attributes) = Self::attributes(resource) {
            let mut put = |name: &str, value: Option<Value>| {
                if let (Some(value), true) = (value, resource.fields.contains_key(name)) {
                    fields.insert(name.to_owned(), value);
                }
            };
            put("permissions", attributes.permissions.map(|mode| json!(disk::shown(mode))));
            put("owner", attributes.owner.map(|id| json!(accounts::user_name(id))));
            put("group", attributes.group.map(|id| json!(accounts::group_name(id))));
        }
        fields
    }

    async fn read(&self, _context: &mut HandlerContext, resource: &Resource) -> Result<Reading, Halt> {
        let path = self.path(resource)?;
        Self::attributes(resource)?;
        let found = blocking(move || disk::read(&path)).await?;
        Ok(found.map_or(Reading::Purged, Reading::Found))
    }

    async fn create(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        self.write(context, resource).await
    }

    async fn update(&self, context: &mut HandlerContext, changes: &Changes, resource: &Resource) -> Result<(), Halt> {
        if changes.get("hash").is_some() {
            return self.write(context, resource).await;
        }
        let (path, attributes) = (self.path(resource)?, Self::attributes(resource)?);
        blocking(move || disk::set_attributes(&path, attributes)).await?;
        Ok(())
    }

    async fn delete(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        let path = self.path(resource)?;
        context.info("Removing %(path)s", &[("path", &path)]);
        blocking(move || disk::remove(&path)).await?;
        Ok(())
    }
}

/// Waits for work on the disk. It goes on to its end when nobody waits any more, so it leaves nothing half done.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
