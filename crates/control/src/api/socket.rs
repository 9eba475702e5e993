//! The file of the Unix socket: how it comes, whose it is, and how it goes.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Group;

use super::ServeError;

/// The longest path of a Unix socket, without its final zero. unix(7).
pub(crate) const PATH_BYTES_MAX: usize = 107;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket that was bound; its name goes with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another one may have the name by now.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Binds and listens. A file that an earlier process left is replaced; one that somebody listens
    /// at is not.
    pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, Self), ServeError> {
        let failed =
            |what| move |source: io::Error| ServeError::Socket { path: path.to_owned(), what, source };
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Err(ServeError::PathTooLong { path: path.to_owned() });
        }
        let address = UnixAddr::new(path).map_err(|errno| failed("use this path")(errno.into()))?;
        let group = group.map(|group| find_group(path, group)).transpose()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|source| ServeError::Directory { path: folder.to_owned(), source })?;
        // Of two that start at the same time, one looks when the other has bound.
        let _lock = lock(folder);
        make_room(path, &address)?;

        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|errno| failed("make a socket")(errno.into()))?;
        // The file gets the socket's mode: at no moment can others than the owner connect.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed("set the mode of the socket")(errno.into()))?;
        socket::bind(socket.as_raw_fd(), &address).map_err(|errno| failed("bind")(errno.into()))?;
        let file = Self { path: path.to_owned(), identity: identity(path) };
        if let Some(group) = group {
            lchown(path, None, Some(group)).map_err(failed("give the socket to its group"))?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o660))
            .map_err(failed("set the mode of the socket"))?;
        let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
        socket::listen(&socket, backlog).map_err(|errno| failed("listen")(errno.into()))?;
        Ok((UnixListener::from(socket), file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Somebody who removed it meanwhile did what we would.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Keeps others that bind in this folder waiting. Whoever holds the lock for longer is none of them.
fn lock(folder: &Path) -> Option<Flock<File>> {
    let mut folder = File::open(folder).ok()?;
    for _ in 0..20 {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((given_back, _)) => folder = given_back,
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn find_group(path: &Path, group: &str) -> Result<u32, ServeError> {
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) => Err(ServeError::NoSuchGroup { path: path.to_owned(), group: group.to_owned() }),
        Err(errno) => {
            let what = "find its group";
            Err(ServeError::Socket { path: path.to_owned(), what, source: errno.into() })
        }
    }
}

/// Removes what an earlier process left.
fn make_room(path: &Path, address: &UnixAddr) -> Result<(), ServeError> {
    let failed = |what| move |source: io::Error| ServeError::Socket { path: path.to_owned(), what, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at it")(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(ServeError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .map_err(|errno| failed("make a socket")(errno.into()))?;
    match socket::connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => {
            fs::remove_file(path).map_err(failed("remove what an earlier snipe left"))
        }
        Err(Errno::ENOENT) => Ok(()),
        // EAGAIN: it listens, and many wait already.
        Ok(()) | Err(Errno::EAGAIN) => Err(ServeError::InUse { path: path.to_owned() }),
        Err(errno) => Err(failed("see whether another snipe answers there")(errno.into())),
    }
}
