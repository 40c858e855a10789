//! Decimal digits of binary numbers.

use num_bigint::BigUint;

/// The first few, most significant first, and where the point stands: `0.digits` times ten to the power of `point`.
/// Without zeros at the end.
pub struct Digits {
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// All there are: a binary fraction has an end in decimals.
    pub fn exact(mantissa: &BigUint, exponent: i64) -> Self {
        let (whole, power) = if exponent < 0 {
            let places = u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX);
            (mantissa * BigUint::from(5u8).pow(places), exponent)
        } else {
            (mantissa << exponent.unsigned_abs(), 0)
        };
        if whole.bits() == 0 {
            return Self { digits: Vec::new(), point: 0 };
        }
        let digits = whole.to_radix_be(10);
        let point = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_add(power);
        Self { digits, point }.trimmed()
    }

    /// Those of a float as the machine writes it, `1.25e-7`; `None` if it is no number.
    pub fn written(text: &str) -> Option<Self> {
        let (digits, power) = text.split_once('e')?;
        let digits = digits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        Some(Self { digits, point: power.parse::<i64>().ok()? + 1 }.trimmed())
    }

    /// As few as name no other number of so many bits: those of the exact ones in which the halves of the way to
    /// both neighbours differ.
    pub fn shortest(mantissa: &BigUint, exponent: i64, precision: u64) -> Self {
        let mut digits = Self::exact(mantissa, exponent);
        let bits = mantissa.bits();
        if bits == 0 {
            return digits;
        }
        // In units of half the last bit that counts.
        let shift = (precision + 1).saturating_sub(bits);
        let (middle, exponent) = (mantissa << shift, exponent - i64::try_from(shift).unwrap_or(0));
        let inclusive = !middle.bit(1);
        let lower = Self::exact(&(&middle - 1u8), exponent);
        let upper = Self::exact(&(&middle + 1u8), exponent);
        for place in 0..digits.digits.len() {
            let (here, below, above) = (digits.digits[place], lower.at(place), upper.at(place));
            let may_fall = below != here || inclusive && place + 1 == lower.digits.len();
            let may_rise = here != above && (inclusive || here + 1 < above || place + 1 < upper.digits.len());
            match (may_fall, may_rise) {
                (true, true) => digits.round(place + 1),
                (true, false) => digits.cut(place + 1),
                (false, true) => digits.raise(place + 1),
                (false, false) => continue,
            }
            break;
        }
        digits
    }

    fn at(&self, place: usize) -> u8 {
        self.digits.get(place).copied().unwrap_or(0)
    }

    fn trimmed(mut self) -> Self {
        let end = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(end);
        self
    }

    fn cut(&mut self, length: usize) {
        self.digits.truncate(length);
        let end = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(end);
    }

    fn raise(&mut self, length: usize) {
        self.digits.truncate(length);
        while self.digits.last() == Some(&9) {
            self.digits.pop();
        }
        match self.digits.last_mut() {
            Some(last) => *last += 1,
            None => {
                self.digits.push(1);
                self.point += 1;
            }
        }
    }

    /// Halves to even.
    fn round(&mut self, length: usize) {
        if length >= self.digits.len() {
            return;
        }
        let half = self.digits[length] == 5 && length + 1 == self.digits.len();
        let up = if half { length > 0 && self.digits[length - 1] % 2 == 1 } else { self.digits[length] >= 5 };
        if up { self.raise(length) } else { self.cut(length) }
    }

    /// The nearest float of the machine.
    pub fn float(&self) -> f64 {
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        format!("0.{digits}0e{}", self.point).parse().unwrap_or(f64::INFINITY)
    }

    /// Every digit before the point, and all after it.
    pub fn plain(&self) -> String {
        let places = i64::try_from(self.digits.len()).unwrap_or(i64::MAX) - self.point;
        self.with_places(usize::try_from(places).unwrap_or(0))
    }

    /// So many digits after the point, rounded.
    pub fn fixed(mut self, places: usize) -> String {
        let length = self.point.saturating_add(i64::try_from(places).unwrap_or(i64::MAX));
        match usize::try_from(length) {
            Ok(length) => self.round(length),
            Err(_) => self.digits.clear(),
        }
        self.with_places(places)
    }

    fn with_places(&self, places: usize) -> String {
        let digit = |place: i64| {
            let place = usize::try_from(place).ok();
            char::from(b'0' + place.map_or(0, |place| self.at(place)))
        };
        let mut out: String = if self.point > 0 { (0..self.point).map(digit).collect() } else { "0".into() };
        if places > 0 {
            out.push('.');
            let places = i64::try_from(places).unwrap_or(i64::MAX);
            out.extend((self.point..self.point.saturating_add(places)).map(digit));
        }
        out
    }

    /// One digit, so many more after the point, and the power of ten.
    pub fn scientific(mut self, places: usize) -> String {
        self.round(places.saturating_add(1));
        self.with_power(places)
    }

    fn with_power(&self, places: usize) -> String {
        let digit = |place: usize| char::from(b'0' + self.at(place));
        let power = if self.digits.is_empty() { 0 } else { self.point - 1 };
        let (sign, power) = if power < 0 { ('-', -power) } else { ('+', power) };
        let more: String = (1..=places).map(digit).collect();
        let point = if places > 0 { "." } else { "" };
        format!("{}{point}{more}e{sign}{power:0>2}", digit(0))
    }

    /// As [`Self::general`], of so many digits.
    pub fn rounded_general(mut self, length: usize) -> String {
        self.round(length);
        let known = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.general(if known >= self.point { length.min(known.max(self.point)) } else { length })
    }

    /// With a power of ten from this one on, and below a ten-thousandth.
    pub fn general(&self, from: i64) -> String {
        if (-4..from).contains(&(self.point - 1)) {
            return self.plain();
        }
        self.with_power(self.digits.len().saturating_sub(1))
    }
}
