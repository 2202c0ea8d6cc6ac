//! From lines to the output: a buffer, and one thread that empties it.
//!
//! Always: a line is whole or absent. A slow output slows us down; it loses nothing. An output that fails is tried again,
//! ten times a second, and meanwhile lines that no longer fit are counted; the count is said with the next line when it works again.
//! What SIGKILL or power loss leave in the buffer is lost: at most 20 ms of lines. The ledger is not written through here.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

/// As much as waits at most.
const FULL: usize = 1 << 20;
/// As much as is written without waiting for more.
const ENOUGH: usize = 64 << 10;
/// As long as a line waits for company, so that a busy daemon writes many with one system call.
const SOON: Duration = Duration::from_millis(20);
/// Between two tries of an output that fails.
const AGAIN: Duration = Duration::from_millis(100);

/// How soon a line should be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// With others.
    Soon,
    /// Somebody should look.
    Now,
}

/// Takes lines.
#[derive(Clone)]
pub struct Writer(Arc<Shared>);

/// Writes what waits when it is dropped.
#[must_use = "lines that wait are written when this is dropped"]
pub struct Flush {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// The thread has something to do.
    work: Condvar,
    /// There is room again.
    room: Condvar,
}

struct State {
    waiting: Vec<u8>,
    urgent: bool,
    lost: u64,
    output: Output,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Works,
    Fails,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread that writes to this output.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let state = State { waiting: Vec::with_capacity(ENOUGH), urgent: false, lost: 0, output: Output::Works, closing: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new() });
        let emptied = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || empty(&emptied, output))?;
        Ok((Self(Arc::clone(&shared)), Flush { shared, thread: Some(thread) }))
    }

    /// Takes a line. Waits if the output is slower than we are. Says how many bytes were lost, once the output works again.
    pub(super) fn write(&self, line: &[u8], urgency: Urgency) -> Option<u64> {
        let mut state = self.0.lock();
        while state.waiting.len() + line.len() > FULL && state.output == Output::Works && !state.closing {
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.waiting.len() + line.len() > FULL {
            state.lost = state.lost.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
            return None;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        let first_urgent = urgency == Urgency::Now && !state.urgent;
        state.urgent |= first_urgent;
        let due = before == 0 || first_urgent || (before < ENOUGH && state.waiting.len() >= ENOUGH);
        let lost = if state.output == Output::Works { std::mem::take(&mut state.lost) } else { 0 };
        drop(state);
        // Waking a thread costs more than the line itself, so it is done only when it changes what the thread would do.
        if due {
            self.0.work.notify_one();
        }
        (lost > 0).then_some(lost)
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        self.shared.room.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it has nothing left to say that could be written.
            let _ = thread.join();
        }
    }
}

/// The thread.
fn empty(shared: &Shared, mut output: impl Write) {
    let mut taken = Vec::with_capacity(ENOUGH);
    loop {
        let mut state = shared.lock();
        state = shared.work.wait_while(state, |state| state.waiting.is_empty() && !state.closing).unwrap_or_else(PoisonError::into_inner);
        let more = |state: &mut State| !state.urgent && !state.closing && state.waiting.len() < ENOUGH;
        let (mut state, _) = shared.work.wait_timeout_while(state, SOON, more).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, &mut taken);
        state.urgent = false;
        let closing = state.closing;
        drop(state);
        shared.room.notify_all();
        put(shared, &mut output, &taken);
        taken.clear();
        if closing && shared.lock().waiting.is_empty() {
            return;
        }
    }
}

/// Writes all of it; tries again while the output fails, until we are closing.
fn put(shared: &Shared, output: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(written @ 1..) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => {
                let mut state = shared.lock();
                state.output = Output::Fails;
                shared.room.notify_all();
                let (state, timeout) =
                    shared.work.wait_timeout_while(state, AGAIN, |state| !state.closing).unwrap_or_else(PoisonError::into_inner);
                if !timeout.timed_out() {
                    // The last that can be done: whoever reads the error output learns that lines are missing.
                    let missing = state.lost.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    let _ = writeln!(io::stderr(), "nakatsugi: the log could not be written; {missing} bytes of it are lost");
                    return;
                }
            }
        }
    }
    let _ = output.flush();
    shared.lock().output = Output::Works;
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flush")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// An output that can be broken.
    #[derive(Clone, Default)]
    struct Pipe {
        read: Arc<Mutex<Vec<u8>>>,
        broken: Arc<AtomicBool>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.broken.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let some = bytes.len().min(1000);
            self.read.lock().unwrap().extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_is_written_at_the_end_and_every_line_is_whole() {
        let pipe = Pipe::default();
        let (writer, flush) = Writer::start(pipe.clone()).unwrap();
        thread::scope(|scope| {
            for letter in *b"abcd" {
                let writer = writer.clone();
                scope.spawn(move || {
                    let mut line = vec![letter; 300];
                    line.push(b'\n');
                    for _ in 0..5000 {
                        assert_eq!(writer.write(&line, Urgency::Soon), None);
                    }
                });
            }
        });
        drop(flush);
        let read = pipe.read.lock().unwrap();
        let lines: Vec<_> = read.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 20_000);
        assert!(lines.iter().all(|line| line.len() == 300 && line.iter().all(|byte| *byte == line[0])));
    }

    #[test]
    fn an_output_that_fails_is_tried_again_and_what_was_lost_is_counted() {
        let pipe = Pipe::default();
        let (writer, flush) = Writer::start(pipe.clone()).unwrap();
        pipe.broken.store(true, Ordering::SeqCst);
        let line = [b'x'; 1 << 16];
        // The first fills the thread's hands; then the buffer fills; then lines are lost, and nobody waits.
        for _ in 0..40 {
            assert_eq!(writer.write(&line, Urgency::Now), None);
        }
        pipe.broken.store(false, Ordering::SeqCst);
        let mut sent = 40 << 16;
        let lost = loop {
            sent += 1;
            if let Some(lost) = writer.write(b"y", Urgency::Now) {
                break lost;
            }
            thread::sleep(Duration::from_millis(1));
        };
        drop(flush);
        let written = u64::try_from(pipe.read.lock().unwrap().len()).unwrap();
        assert_eq!(written + lost, sent);
    }
}
