//! The demo's own folder: nobody else may look into it, and it goes when the demo ends.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Names are random; so many taken ones in a row are no accident.
const ATTEMPTS: usize = 16;

/// A folder under the system's temporary one. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that was not there before.
    pub(crate) fn create() -> io::Result<Self> {
        // Resolved, so that what watches the folder and what the tour prints are one path.
        let parent = std::env::temp_dir().canonicalize()?;
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..ATTEMPTS {
            let path = parent.join(format!("aggd-demo-{:08x}", fastrand::u32(..)));
            match private().create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file; the folders on the way to it are made.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            private().recursive(true).create(parent)?;
        }
        std::fs::write(path, text)
    }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

impl Drop for Folder {
    fn drop(&mut self) {
        // At the end of the process there is nobody left to tell; the system clears its temporary folder some day.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_and_goes_with_all_that_is_in_it() {
        let folder = Folder::create().unwrap();
        folder.write("a/b.yaml", "x").unwrap();
        let path = folder.path().to_path_buf();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(path.join("a/b.yaml")).unwrap(), "x");
        drop(folder);
        assert!(!path.exists());
    }
}
