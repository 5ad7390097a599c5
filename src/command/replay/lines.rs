//! The output of a replay: each sink's rows as JSON lines, in a file of its name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::runtime::OpenOutput;
use tidegate_pipeline::sink::TransactionalSink;
use tidegate_pipeline::step::StepHeader;

/// The file of a sink, by the name of its mark.
pub(super) fn path(folder: &Path, mark: &str) -> PathBuf {
    folder.join(format!("{}.jsonl", mark.replace('/', ".")))
}

/// Opens such files in `folder`: anew at first, and to go on where the definition changes on the way.
pub(super) fn in_folder(folder: PathBuf) -> OpenOutput {
    let begun: Mutex<BTreeSet<PathBuf>> = Mutex::default();
    Arc::new(move |mark| {
        let path = path(&folder, mark);
        let anew = begun.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        let opened = if anew { File::create(&path) } else { File::options().append(true).open(&path) };
        let file = opened.map_err(|error| failed(&path, &error))?;
        Ok(Box::new(Lines { file: BufWriter::new(file), path }))
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::external(format!("{} cannot be written: {error}", path.display()))
}

struct Lines {
    file: BufWriter<File>,
    path: PathBuf,
}

#[async_trait]
impl TransactionalSink for Lines {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        let mut writer = LineDelimitedWriter::new(&mut self.file);
        writer.write(rows)?;
        Ok(writer.finish()?)
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        self.file.flush().map_err(|error| failed(&self.path, &error))?;
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }
}
