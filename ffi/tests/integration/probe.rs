//! Makes the arguments of a call, with one thing wrong.

use std::cell::{Cell, RefCell};

use cloudauth::*;

/// What is wrong with a call. Numbers count what the arguments of a function are made of, in the order
/// in which a case makes them, so that every part is wrong once, behind pointers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Good,
    /// Nothing, with a buffer of this size.
    Cap(usize),
    /// A pointer is null.
    Null(usize),
    /// A pointer that may be null is.
    Optional(usize),
    /// A length is this one.
    Length(usize, usize),
    /// A structure says it has another size.
    Size(usize, Size),
    /// A number is none that has a meaning.
    Number(usize),
    /// A text is not UTF-8.
    Utf8(usize),
    /// Two parts, one of them an output, are at one place.
    Overlap(usize, usize),
    /// What the caller's signer or MAC does.
    Callback(Callback),
}

/// Sizes of structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Zero,
    /// One less than it is.
    Less,
    /// That of a later version, of which we know nothing, with zeros there.
    Later,
    /// The same with something else there.
    LaterUsed,
    TooMuch,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Fails(cloudauth_result),
    /// Says it wrote so much more than there is room for.
    Excess(usize),
    /// Says it wrote less than a signature.
    Short,
    /// Says it succeeded, and wrote nothing.
    Nothing,
    /// Writes zeros.
    Zeros,
    /// Calls other functions, and then does what it should.
    Reenters,
}

pub(crate) const CAP: usize = 8192;
/// What is behind every structure, for those of a later version.
const MORE: usize = 16;
/// What buffers hold before.
const OLD: u8 = 0xaa;

/// An output, and what is promised of it on failure.
#[derive(Clone, Copy)]
struct Output {
    ptr: *mut u8,
    len: usize,
    /// A structure that begins with its size.
    sized: bool,
    /// This very one is what is wrong.
    broken: bool,
    /// It says why a call failed.
    says: bool,
}

/// Fills the arguments of one call. Memory is leaked: there is little of it.
pub(crate) struct Probe {
    pub(crate) mode: Mode,
    pub(crate) pointers: Cell<usize>,
    pub(crate) optional: Cell<usize>,
    pub(crate) lengths: Cell<usize>,
    pub(crate) numbers: Cell<usize>,
    pub(crate) texts: Cell<usize>,
    pub(crate) callbacks: Cell<usize>,
    /// Whether each is an output.
    pub(crate) sizes: RefCell<Vec<bool>>,
    /// Whether each is an output.
    pub(crate) places: RefCell<Vec<bool>>,
    outputs: RefCell<Vec<Output>>,
    /// Where things overlap.
    stage: *mut u8,
    buf: *mut u8,
    len: *mut usize,
    error: Cell<*mut cloudauth_error>,
    /// There is nothing that could be zeroed.
    no_out: Cell<bool>,
    no_len: Cell<bool>,
}

/// Zeros, aligned for everything, with `MORE` behind.
fn block(len: usize) -> *mut u8 {
    vec![0_u128; (len + MORE).div_ceil(16)].leak().as_mut_ptr().cast()
}

pub(crate) fn leak<T>(value: T) -> *mut T {
    let ptr = block(size_of::<T>()).cast::<T>();
    // SAFETY: it is as large and as aligned.
    unsafe { ptr.write(value) };
    ptr
}

/// A structure of zeros, but for its size.
pub(crate) fn blank<T>() -> *mut T {
    let ptr = block(size_of::<T>()).cast::<T>();
    // SAFETY: it begins with its size.
    unsafe { ptr.cast::<usize>().write(size_of::<T>()) };
    ptr
}

/// Borrowed octets that nothing is wrong with.
pub(crate) fn bytes(bytes: &[u8]) -> cloudauth_bytes {
    Probe::good().octets(bytes)
}

pub(crate) fn text(text: &str) -> cloudauth_bytes {
    bytes(text.as_bytes())
}

/// What borrowed octets hold.
pub(crate) fn held(bytes: cloudauth_bytes) -> Vec<u8> {
    match bytes.len {
        0 => Vec::new(),
        // SAFETY: made by the library or by `bytes`.
        _ => unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }.to_vec(),
    }
}

/// The text of a message.
#[cfg(feature = "std")]
#[cfg_attr(miri, allow(dead_code))]
pub(crate) fn held_text(message: &cloudauth_message) -> String {
    let octets: Vec<_> = message.text.iter().map(|c| c.to_ne_bytes()[0]).collect();
    let (text, rest) = octets.split_at(message.len);
    assert!(!text.contains(&0) && all(rest, 0) && !rest.is_empty());
    String::from_utf8(text.to_vec()).unwrap()
}

fn octets_of<'a>(ptr: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: made by `block`.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// Whether all are this one, found out by a comparison of memory: Miri takes its time for loops.
fn all(octets: &[u8], octet: u8) -> bool {
    *octets == [octet; CAP][..octets.len()]
}

impl Probe {
    pub(crate) fn new(mode: Mode) -> Self {
        let stage = if let Mode::Overlap(..) = mode { block(CAP) } else { std::ptr::null_mut() };
        Self {
            mode,
            pointers: Cell::new(0),
            optional: Cell::new(0),
            lengths: Cell::new(0),
            numbers: Cell::new(0),
            texts: Cell::new(0),
            callbacks: Cell::new(0),
            sizes: RefCell::default(),
            places: RefCell::default(),
            outputs: RefCell::default(),
            stage,
            buf: block(CAP),
            len: leak(usize::MAX),
            error: Cell::new(std::ptr::null_mut()),
            no_out: Cell::new(false),
            no_len: Cell::new(false),
        }
    }

    pub(crate) fn good() -> Self {
        Self::new(Mode::Good)
    }

    fn next(counter: &Cell<usize>) -> usize {
        counter.replace(counter.get().wrapping_add(1))
    }

    /// Decides where something lies, which by itself is at `ptr`.
    fn place<T>(&self, ptr: *mut T, len: usize, output: bool) -> *mut T {
        let mut places = self.places.borrow_mut();
        let index = places.len();
        places.push(output);
        match self.mode {
            Mode::Overlap(a, b) if index == a || index == b => {
                // SAFETY: both were made by `block`, and the stage is the larger one.
                unsafe { self.stage.copy_from(ptr.cast(), len) };
                self.stage.cast()
            }
            _ => ptr,
        }
    }

    /// A pointer that must not be null.
    fn pointer<T>(&self, ptr: *mut T) -> *mut T {
        if Mode::Null(Self::next(&self.pointers)) == self.mode { std::ptr::null_mut() } else { ptr }
    }

    /// Says another size, if it is this structure's turn; whether that is too much to take.
    fn resize<T>(&self, ptr: *mut T, output: bool) -> bool {
        let index = self.sizes.borrow().len();
        self.sizes.borrow_mut().push(output);
        let Mode::Size(n, size) = self.mode else { return false };
        if n != index {
            return false;
        }
        let size = match size {
            Size::Zero => 0,
            Size::Less => size_of::<T>() - 1,
            Size::Later => size_of::<T>() + 8,
            Size::LaterUsed => {
                // SAFETY: `block` has left so much behind it.
                unsafe { ptr.cast::<u8>().add(size_of::<T>()).write_bytes(OLD, 8) };
                size_of::<T>() + 8
            }
            Size::TooMuch => 4097,
            Size::Max => usize::MAX,
        };
        // SAFETY: it begins with its size.
        unsafe { ptr.cast::<usize>().write(size) };
        !(size_of::<T>()..=4096).contains(&size)
    }

    /// A structure that is read, with what `set` puts there.
    pub(crate) fn params<T>(&self, set: impl FnOnce(&mut T)) -> *mut T {
        self.pointer(self.never_null(set))
    }

    /// The same of one that says by being there which members are used.
    pub(crate) fn never_null<T>(&self, set: impl FnOnce(&mut T)) -> *mut T {
        let ptr = blank::<T>();
        // SAFETY: just made; all zeros are a value of the header's structures.
        set(unsafe { &mut *ptr });
        self.resize(ptr, false);
        self.place(ptr, size_of::<T>(), false)
    }

    /// A structure that may be null.
    pub(crate) fn optional<T>(&self, set: impl FnOnce(&mut T)) -> *mut T {
        let ptr = self.never_null(set);
        let null = Mode::Optional(Self::next(&self.optional)) == self.mode;
        if null { std::ptr::null_mut() } else { ptr }
    }

    /// A structure with a size that is written.
    pub(crate) fn made<T>(&self) -> *mut T {
        self.make(|ptr| self.pointer(ptr))
    }

    /// The same of one that may be null.
    pub(crate) fn may_make<T>(&self) -> *mut T {
        let null = Mode::Optional(Self::next(&self.optional)) == self.mode;
        self.make(|ptr| if null { std::ptr::null_mut() } else { ptr })
    }

    /// What a hosted call has to say.
    #[cfg(feature = "std")]
    pub(crate) fn message(&self) -> *mut cloudauth_message {
        let given = self.may_make();
        if let Some(output) = self.outputs.borrow_mut().last_mut() {
            output.says = true;
        }
        given
    }

    fn make<T>(&self, give: impl FnOnce(*mut T) -> *mut T) -> *mut T {
        let ptr = block(size_of::<T>()).cast::<T>();
        // SAFETY: just made.
        unsafe {
            ptr.cast::<u8>().write_bytes(OLD, size_of::<T>());
            ptr.cast::<usize>().write(size_of::<T>());
        }
        let refused = self.resize(ptr, true);
        let given = give(self.place(ptr, size_of::<T>(), true));
        let broken = refused || given.is_null();
        let output =
            Output { ptr: given.cast(), len: size_of::<T>(), sized: true, broken, says: false };
        self.outputs.borrow_mut().push(output);
        given
    }

    /// An output without a size: a value, octets, an opaque structure.
    pub(crate) fn plain<T>(&self) -> *mut T {
        let ptr = block(size_of::<T>());
        // SAFETY: just made.
        unsafe { ptr.write_bytes(OLD, size_of::<T>()) };
        let given = self.pointer(self.place(ptr.cast::<T>(), size_of::<T>(), true));
        let (len, broken) = (size_of::<T>(), given.is_null());
        let output = Output { ptr: given.cast(), len, sized: false, broken, says: false };
        self.outputs.borrow_mut().push(output);
        given
    }

    /// An opaque structure that is read: a copy of this one.
    pub(crate) fn handle<T>(&self, from: *const T) -> *mut T {
        self.copy(from, false)
    }

    /// One that is used up. On failure it is left alone.
    pub(crate) fn consumed<T>(&self, from: *const T) -> *mut T {
        self.copy(from, true)
    }

    fn copy<T>(&self, from: *const T, output: bool) -> *mut T {
        let ptr = block(size_of::<T>()).cast::<T>();
        // SAFETY: octets, so that pointers in them stay what they are.
        unsafe { ptr.cast::<u8>().copy_from(from.cast(), size_of::<T>()) };
        self.pointer(self.place(ptr, size_of::<T>(), output))
    }

    /// Octets that are changed in place, and what becomes of them is not promised.
    pub(crate) fn in_place(&self, octets: &[u8]) -> *mut u8 {
        let ptr = block(octets.len());
        // SAFETY: just made.
        unsafe { ptr.copy_from(octets.as_ptr(), octets.len()) };
        self.pointer(self.place(ptr, octets.len(), true))
    }

    /// A buffer of the caller's that stands behind an opaque structure.
    pub(crate) fn behind(&self, octets: &[u8]) -> *mut u8 {
        let ptr = block(octets.len());
        // SAFETY: just made.
        unsafe { ptr.copy_from(octets.as_ptr(), octets.len()) };
        self.place(ptr, octets.len(), false)
    }

    /// Octets of a fixed number.
    pub(crate) fn array(&self, octets: &[u8]) -> *const u8 {
        self.pointer(self.behind(octets))
    }

    /// Borrowed octets.
    pub(crate) fn octets(&self, octets: &[u8]) -> cloudauth_bytes {
        if octets.is_empty() {
            return cloudauth_bytes { ptr: std::ptr::null(), len: 0 };
        }
        cloudauth_bytes { ptr: self.array(octets), len: self.length(octets.len()) }
    }

    /// A borrowed text.
    pub(crate) fn text(&self, text: &str) -> cloudauth_bytes {
        let mut octets = text.as_bytes().to_vec();
        if !text.is_empty() && Mode::Utf8(Self::next(&self.texts)) == self.mode {
            octets[0] = 0xff;
        }
        self.octets(&octets)
    }

    /// Elements whose number is given elsewhere.
    pub(crate) fn array_of<T: Copy>(&self, elements: &[T]) -> *const T {
        let lengths = self.lengths.get();
        // Counted where it is given.
        self.lengths.set(usize::MAX);
        let (ptr, _) = self.elements(elements);
        self.lengths.set(lengths);
        ptr
    }

    /// Elements.
    pub(crate) fn elements<T: Copy>(&self, elements: &[T]) -> (*const T, usize) {
        let ptr = block(size_of_val(elements)).cast::<T>();
        for (index, element) in elements.iter().enumerate() {
            // SAFETY: just made.
            unsafe { ptr.add(index).write(*element) };
        }
        let ptr = self.pointer(self.place(ptr, size_of_val(elements), false));
        (ptr, self.length(elements.len()))
    }

    pub(crate) fn texts(&self, texts: &[&str]) -> (*const cloudauth_bytes, usize) {
        self.elements(&texts.iter().map(|text| self.text(text)).collect::<Vec<_>>())
    }

    pub(crate) fn pairs(&self, pairs: &[(&str, &str)]) -> (*const cloudauth_pair, usize) {
        let pair = |(name, value): &(&str, &str)| cloudauth_pair {
            name: self.text(name),
            value: self.text(value),
        };
        self.elements(&pairs.iter().map(pair).collect::<Vec<_>>())
    }

    /// A length, or how many there are of something.
    pub(crate) fn length(&self, good: usize) -> usize {
        match self.mode {
            Mode::Length(n, bad) if n == self.lengths.get() => {
                Self::next(&self.lengths);
                bad
            }
            _ => {
                Self::next(&self.lengths);
                good
            }
        }
    }

    /// A number with a meaning, of which there are few.
    pub(crate) fn number(&self, good: u32) -> u32 {
        if Mode::Number(Self::next(&self.numbers)) == self.mode { 0xffff_fff0 } else { good }
    }

    /// What a callback is to do, if it is not to do its duty.
    pub(crate) fn callback(&self) -> Option<Callback> {
        Self::next(&self.callbacks);
        if let Mode::Callback(callback) = self.mode { Some(callback) } else { None }
    }

    pub(crate) fn out(&self) -> *mut u8 {
        // SAFETY: made by `new`.
        unsafe { self.buf.write_bytes(OLD, CAP) };
        let ptr = self.pointer(self.place(self.buf, CAP, true));
        self.no_out.set(ptr.is_null());
        // With no size it may be null.
        if let Mode::Cap(0) = self.mode { std::ptr::null_mut() } else { ptr }
    }

    pub(crate) fn cap(&self) -> usize {
        let cap = self.length(CAP);
        self.no_out.set(self.no_out.get() || cap != CAP);
        if let Mode::Cap(cap) = self.mode { cap } else { cap }
    }

    pub(crate) fn len(&self) -> *mut usize {
        let ptr = self.pointer(self.place(self.len, size_of::<usize>(), true));
        self.no_len.set(ptr.is_null());
        ptr
    }

    pub(crate) fn error(&self) -> *mut cloudauth_error {
        let ptr = self.may_make::<cloudauth_error>();
        self.error.set(ptr);
        ptr
    }

    /// The present content of the buffer.
    pub(crate) fn content(&self) -> Vec<u8> {
        octets_of(self.buf, CAP).to_vec()
    }

    pub(crate) fn written(&self) -> usize {
        // SAFETY: made by `new`.
        unsafe { *self.len }
    }

    /// What the call says of its failure; none if it was not asked, or cannot say.
    pub(crate) fn told(&self) -> Option<cloudauth_error> {
        // The last one, made by `error`.
        let good = self.outputs.borrow().last().is_some_and(|output| !output.broken);
        // SAFETY: made by `error`.
        good.then(|| unsafe { self.error.get().read() })
    }

    /// Everything that was promised of the outputs of a call with this result.
    pub(crate) fn check(&self, fills: bool, result: cloudauth_result, name: &str) {
        let mode = self.mode;
        if let Some(told) = self.told() {
            assert_eq!(told.result, result, "{name} {mode:?} gave {result}");
            let texts = told.field.len > 0 && told.help.len > 0;
            assert!(texts == (result != CLOUDAUTH_OK), "{name} {mode:?} gave {result}");
        }
        let mut outputs = self.outputs.borrow().clone();
        outputs.pop();
        for output in outputs.iter().filter(|output| !output.broken && output.sized) {
            // SAFETY: made by `made`.
            let size = unsafe { output.ptr.cast::<usize>().read() };
            assert!(
                size == output.len || size == output.len + 8,
                "{name} {mode:?} gave {result}: the size is not kept"
            );
            let rest = octets_of(output.ptr, size).get(output.len..).unwrap_or_default();
            assert!(all(rest, 0), "{name} {mode:?} gave {result}: what is unknown is not zeroed");
        }
        if result == CLOUDAUTH_OK {
            return;
        }
        #[cfg(feature = "std")]
        for output in outputs.iter().filter(|output| !output.broken && output.says) {
            // SAFETY: made by `message`.
            let text = held_text(unsafe { &*output.ptr.cast() });
            assert!(!text.is_empty(), "{name} {mode:?} gave {result}: says nothing");
        }
        for output in outputs.iter().filter(|output| !output.broken && !output.says) {
            let from = if output.sized { size_of::<usize>() } else { 0 };
            let octets = &octets_of(output.ptr, output.len)[from..];
            assert!(all(octets, 0), "{name} {mode:?} gave {result}: not zeroed");
        }
        if !fills {
            return;
        }
        let content = octets_of(self.buf, CAP);
        let all = |octet| all(content, octet);
        if result == CLOUDAUTH_ERR_BUFFER_TOO_SMALL {
            assert!(self.written() > 0 && all(OLD), "{name} {mode:?} gave {result}: written to");
            return;
        }
        assert!(
            self.no_len.get() || self.written() == 0,
            "{name} {mode:?} gave {result}: *len is {}",
            self.written()
        );
        assert!(
            self.no_out.get() && all(OLD) || all(0),
            "{name} {mode:?} gave {result}: the buffer is not zeroed"
        );
    }
}
