//! Numbers as HCL has them: not floats of 64 bits, but of 512, so that `12345678901234567890` keeps its last digit and
//! `0.1 + 0.2` is 0.3.
//!
//! A number has the precision it was made with, as in Go's `math/big`, which Nomad reckons with: what is written has
//! 512 bits, what functions such as `pow` make has 53.

mod digits;

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

use digits::Digits;

/// Bits of a number that was written.
const WRITTEN: u64 = 512;
/// Bits of a whole number that the machine counted.
const COUNTED: u64 = 64;
/// Bits of a float of the machine.
const FLOAT: u64 = 53;
/// Powers of two that a number may have, either way: some two thousand digits.
const LARGEST: i64 = 1 << 13;

/// Powers of ten from which on a number is written with one.
const SIX: i64 = 6;

/// A number, possibly infinite, as `1 / 0` is.
#[derive(Debug, Clone)]
pub struct Number {
    negative: bool,
    size: Size,
    precision: u64,
}

/// A number without its sign.
#[derive(Debug, Clone)]
enum Size {
    /// `mantissa` times two to the power of `exponent`; the mantissa is odd, or zero.
    Finite {
        mantissa: BigUint,
        exponent: i64,
    },
    Infinite,
}

impl Number {
    /// Reads digits with a fraction and an exponent in tens, as they are written in job files and in text.
    pub fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        // Most are small and whole.
        if let Some(size) = unsigned.parse().ok().filter(|_| unsigned.starts_with(|c: char| c.is_ascii_digit())) {
            return Some(Self::machine(text.starts_with('-'), size, WRITTEN));
        }
        let (digits, power) = unsigned.split_once(['e', 'E']).map_or((unsigned, Some(0)), |(d, p)| (d, power(p)));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let power = power?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let tens = BigUint::from(10u8).pow(u32::try_from(power.unsigned_abs()).ok()?);
        let (digits, one) = (all.parse().ok()?, BigUint::from(1u8));
        let (over, under) = if power < 0 { (digits, tens) } else { (digits * tens, one) };
        Self::ratio(text.starts_with('-'), &over, &under, 0, WRITTEN)
    }

    /// A float of the machine, if it is one.
    pub fn from_float(float: f64) -> Option<Self> {
        if float.is_infinite() {
            return Some(Self { negative: float < 0.0, size: Size::Infinite, precision: FLOAT });
        }
        let bits = float.to_bits();
        let (fraction, power) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i64);
        let mantissa = if power == 0 { fraction } else { fraction | 1 << 52 };
        let exponent = power.max(1) - 1075;
        float.is_finite().then(|| Self::rounded(float.is_sign_negative(), mantissa.into(), exponent, FLOAT))?
    }

    /// A whole number of any size.
    pub fn from_whole(whole: &BigInt) -> Option<Self> {
        let precision = whole.bits().max(COUNTED);
        Self::rounded(whole.sign() == Sign::Minus, whole.magnitude().clone(), 0, precision)
    }

    /// Rounds to so many bits, halves to even. `None` if it is out of all bounds.
    fn rounded(negative: bool, mantissa: BigUint, exponent: i64, precision: u64) -> Option<Self> {
        let (mut mantissa, mut exponent) = (mantissa, exponent);
        let surplus = mantissa.bits().saturating_sub(precision);
        if surplus > 0 {
            let half = mantissa.bit(surplus - 1);
            let rest = mantissa.trailing_zeros().is_some_and(|zeros| zeros < surplus - 1);
            mantissa >>= surplus;
            if half && (rest || mantissa.bit(0)) {
                mantissa += 1u8;
            }
            exponent = exponent.checked_add(i64::try_from(surplus).ok()?)?;
        }
        let zeros = mantissa.trailing_zeros().unwrap_or(0);
        mantissa >>= zeros;
        exponent = if mantissa.bits() == 0 { 0 } else { exponent.checked_add(i64::try_from(zeros).ok()?)? };
        let power = exponent.checked_add(i64::try_from(mantissa.bits()).ok()?)?;
        (exponent.abs() <= LARGEST && power.abs() <= LARGEST).then_some(Self {
            negative,
            size: Size::Finite { mantissa, exponent },
            precision,
        })
    }

    /// `over / under`, times two to the power of `exponent`.
    fn ratio(negative: bool, over: &BigUint, under: &BigUint, exponent: i64, precision: u64) -> Option<Self> {
        let shift = (precision + 2 + under.bits()).saturating_sub(over.bits());
        let over = over << shift;
        let (quotient, rest) = (&over / under, &over % under);
        let exponent = exponent.checked_sub(i64::try_from(shift).ok()?)?;
        // One bit more, so that the rest is seen behind the last one that counts.
        Self::rounded(negative, (quotient << 1u8) | BigUint::from(u8::from(rest.bits() > 0)), exponent - 1, precision)
    }

    fn infinite(negative: bool, precision: u64) -> Self {
        Self { negative, size: Size::Infinite, precision }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(&self.size, Size::Finite { mantissa, .. } if mantissa.bits() == 0)
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// Whether it is infinite.
    pub fn is_infinite(&self) -> bool {
        matches!(self.size, Size::Infinite)
    }

    /// As a whole number, if it is one.
    pub fn whole(&self) -> Option<BigInt> {
        match &self.size {
            Size::Finite { mantissa, exponent } if *exponent >= 0 => {
                let size = BigInt::from(mantissa << u64::try_from(*exponent).ok()?);
                Some(if self.negative { -size } else { size })
            }
            _ => None,
        }
    }

    /// Without its fraction.
    fn truncated(&self) -> Option<BigInt> {
        match &self.size {
            Size::Finite { mantissa, exponent } if *exponent < 0 => {
                let size = BigInt::from(mantissa >> exponent.unsigned_abs());
                Some(if self.negative { -size } else { size })
            }
            _ => self.whole(),
        }
    }

    /// The largest whole number that is not more.
    pub fn floor(&self) -> Option<Self> {
        self.to_whole(|whole, fraction| if self.is_negative() && fraction { whole - 1 } else { whole })
    }

    /// The smallest whole number that is not less.
    pub fn ceil(&self) -> Option<Self> {
        self.to_whole(|whole, fraction| if !self.is_negative() && fraction { whole + 1 } else { whole })
    }

    fn to_whole(&self, settle: impl Fn(BigInt, bool) -> BigInt) -> Option<Self> {
        match self.truncated() {
            None => Some(self.clone()),
            Some(whole) => Self::from_whole(&settle(whole, self.whole().is_none())),
        }
    }

    /// The nearest float of the machine.
    pub fn float(&self) -> f64 {
        let size = match &self.size {
            Size::Infinite => f64::INFINITY,
            Size::Finite { mantissa, exponent } => {
                scaled(mantissa, *exponent).unwrap_or_else(|| Digits::exact(mantissa, *exponent).float())
            }
        };
        if self.negative { -size } else { size }
    }

    /// With the other sign.
    pub fn negated(&self) -> Self {
        Self { negative: !self.negative, ..self.clone() }
    }

    /// Without its sign.
    pub fn absolute(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    /// The sum; the error is a sentence.
    pub fn plus(&self, other: &Self) -> Result<Self, String> {
        let precision = self.precision.max(other.precision);
        match (&self.size, &other.size) {
            (Size::Infinite, Size::Infinite) if self.negative != other.negative => {
                Err("Infinity cannot be subtracted from itself.".into())
            }
            (Size::Infinite, _) => Ok(self.clone()),
            (_, Size::Infinite) => Ok(other.clone()),
            (Size::Finite { mantissa: l, exponent: le }, Size::Finite { mantissa: r, exponent: re }) => {
                let exponent = (*le).min(*re);
                let aligned = |negative: bool, mantissa: &BigUint, power: i64| {
                    let size = BigInt::from(mantissa << (power - exponent).unsigned_abs());
                    if negative { -size } else { size }
                };
                let sum = aligned(self.negative, l, *le) + aligned(other.negative, r, *re);
                let negative = sum.sign() == Sign::Minus;
                Self::rounded(negative, sum.magnitude().clone(), exponent, precision).ok_or_else(too_large)
            }
        }
    }

    /// The product, in as many bits as it needs, up to 512.
    pub fn times(&self, other: &Self) -> Result<Self, String> {
        let negative = self.negative != other.negative;
        let precision = self.precision.max(other.precision);
        match (&self.size, &other.size) {
            (Size::Finite { mantissa: l, exponent: le }, Size::Finite { mantissa: r, exponent: re }) => {
                let mut product = Self::rounded(negative, l * r, le + re, WRITTEN).ok_or_else(too_large)?;
                let needed = product.bits();
                product.precision = precision.max(needed);
                Ok(product)
            }
            _ if self.is_zero() || other.is_zero() => Err("Zero cannot be multiplied by infinity.".into()),
            _ => Ok(Self::infinite(negative, precision)),
        }
    }

    /// The quotient; what is divided by zero is infinite.
    pub fn over(&self, other: &Self) -> Result<Self, String> {
        let negative = self.negative != other.negative;
        let precision = self.precision.max(other.precision);
        match (&self.size, &other.size) {
            (Size::Infinite, Size::Infinite) => Err("Infinity cannot be divided by infinity.".into()),
            (Size::Infinite, _) => Ok(Self::infinite(negative, precision)),
            (_, Size::Infinite) => Self::rounded(negative, BigUint::ZERO, 0, precision).ok_or_else(too_large),
            _ if other.is_zero() && self.is_zero() => Err("Zero cannot be divided by zero.".into()),
            _ if other.is_zero() => Ok(Self::infinite(negative, precision)),
            (Size::Finite { mantissa: l, exponent: le }, Size::Finite { mantissa: r, exponent: re }) => {
                Self::ratio(negative, l, r, le - re, precision).ok_or_else(too_large)
            }
        }
    }

    /// What is left of it after taking the other as often as it fits; by zero, all.
    pub fn modulo(&self, other: &Self) -> Result<Self, String> {
        if self.is_infinite() || other.is_infinite() {
            return Err("A remainder needs finite numbers.".into());
        }
        if other.is_zero() {
            return Ok(self.clone());
        }
        let times = self.over(other)?.truncated().and_then(|whole| Self::from_whole(&whole)).ok_or_else(too_large)?;
        let times = Self { precision: self.precision.max(other.precision), ..times };
        self.plus(&times.times(other)?.negated())
    }

    fn bits(&self) -> u64 {
        match &self.size {
            Size::Finite { mantissa, .. } => mantissa.bits(),
            Size::Infinite => 0,
        }
    }

    /// Bytes that it takes, and that reckoning with it takes.
    pub fn cost(&self) -> usize {
        match &self.size {
            Size::Finite { exponent, .. } => ((self.bits() + exponent.unsigned_abs()) / 8) as usize,
            Size::Infinite => 0,
        }
    }

    fn signed(&self, digits: String) -> String {
        if self.negative { format!("-{digits}") } else { digits }
    }

    /// As few digits as tell it from its neighbours; `None` if it is infinite.
    fn shortest(&self) -> Option<Digits> {
        match &self.size {
            Size::Infinite => None,
            Size::Finite { mantissa, exponent } => {
                Some(self.simple().unwrap_or_else(|| Digits::shortest(mantissa, *exponent, self.precision)))
            }
        }
    }

    /// The fewest digits, where they are had cheaply: those of a whole number that lost none, and those of a float
    /// that stand for no other number.
    fn simple(&self) -> Option<Digits> {
        let Size::Finite { mantissa, exponent } = &self.size else { return None };
        let whole = u64::try_from(*exponent).ok().filter(|zeros| mantissa.bits() + zeros <= self.precision);
        if whole.is_some() {
            return Some(Digits::exact(mantissa, *exponent));
        }
        let float = format!("{:e}", self.float().abs());
        let same = self.precision == FLOAT || Self::read(&float).is_some_and(|read| read == self.absolute());
        Digits::written(&float).filter(|_| same)
    }

    /// Without its sign, with so many digits after the point.
    pub fn fixed(&self, places: usize) -> Option<String> {
        match &self.size {
            Size::Infinite => None,
            Size::Finite { mantissa, exponent } => Some(Digits::exact(mantissa, *exponent).fixed(places)),
        }
    }

    /// Without its sign, as one digit, so many more after the point, and the power of ten.
    pub fn scientific(&self, places: usize) -> Option<String> {
        match &self.size {
            Size::Infinite => None,
            Size::Finite { mantissa, exponent } => Some(Digits::exact(mantissa, *exponent).scientific(places)),
        }
    }

    /// Without its sign, in the shorter of the two forms, with so many digits or as few as tell it apart.
    pub fn general(&self, length: Option<usize>) -> Option<String> {
        match (&self.size, length) {
            (Size::Finite { mantissa, exponent }, Some(length)) => {
                Some(Digits::exact(mantissa, *exponent).rounded_general(length.max(1)))
            }
            _ => self.shortest().map(|digits| digits.general(SIX)),
        }
    }

    /// As [`Self::general`], with its sign; infinity has one in any case.
    pub fn general_text(&self) -> String {
        self.general(None).map_or_else(|| self.to_string(), |digits| self.signed(digits))
    }
}

/// All digits, never a power of ten.
impl std::fmt::Display for Number {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shortest() {
            Some(digits) => out.write_str(&self.signed(digits.plain())),
            None => out.write_str(if self.negative { "-Inf" } else { "+Inf" }),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By value, whatever the precision.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = match (&self.size, &other.size) {
            (Size::Infinite, Size::Infinite) => Ordering::Equal,
            (Size::Infinite, _) => Ordering::Greater,
            (_, Size::Infinite) => Ordering::Less,
            (Size::Finite { mantissa: l, exponent: le }, Size::Finite { mantissa: r, exponent: re }) => {
                let exponent = (*le).min(*re);
                (l << (le - exponent).unsigned_abs()).cmp(&(r << (re - exponent).unsigned_abs()))
            }
        };
        match (self.is_negative(), other.is_negative()) {
            (false, false) => size,
            (true, true) => size.reverse(),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl From<i64> for Number {
    fn from(whole: i64) -> Self {
        Self::machine(whole < 0, whole.unsigned_abs(), COUNTED)
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self::machine(false, whole, COUNTED)
    }
}

impl Number {
    fn machine(negative: bool, size: u64, precision: u64) -> Self {
        let zeros = if size == 0 { 0 } else { size.trailing_zeros() };
        let (mantissa, exponent) = (BigUint::from(size >> zeros), i64::from(zeros));
        Self { negative, size: Size::Finite { mantissa, exponent }, precision }
    }
}

/// The nearest float, if it is not one of the smallest or largest.
fn scaled(mantissa: &BigUint, exponent: i64) -> Option<f64> {
    let surplus = mantissa.bits().saturating_sub(COUNTED);
    // Of the bits beyond, it matters only whether there are any.
    let more = mantissa.trailing_zeros().is_some_and(|zeros| zeros < surplus);
    let top = u64::try_from(mantissa >> surplus).ok()? | u64::from(more);
    let power = exponent.checked_add(i64::try_from(surplus).ok()?)?;
    let safe = (-900..900).contains(&power);
    safe.then(|| top as f64 * f64::from_bits(u64::try_from(power + 1023).unwrap_or(0) << 52))
}

fn too_large() -> String {
    "The result is too large.".into()
}

/// The power of ten after `e`.
fn power(text: &str) -> Option<i64> {
    let power: i64 = text.parse().ok()?;
    (power.abs() <= LARGEST / 4).then_some(power)
}
