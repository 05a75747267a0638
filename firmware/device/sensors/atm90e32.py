"""ATM90E32AS: metering chip for three phases on SPI, direction-capable, with read-and-clear energy registers.

SPI mode 3, 16 bits of address (bit 15: read) and 16 of data. Energy registers count 0.01 pulses at 3,200 pulses per
kWh, so 25/8 mWh; one overflows after 204.8 Wh (17 s at 43 kW) and is read every five seconds. Voltage in 0.01 V,
current in mA, power in 0.32 mW (32 bits), each as calibrated.
Source: Atmel 46003 "M90E32AS Datasheet", as told in the register lists of esphome and CircuitSetup's library.
"""

import asyncio

from sensors import calibration
from sensors.sensor import UNCALIBRATED, Sensor, SensorError

_METER_EN, _ZX_CONFIG, _PHASE_LOSS_TH, _FREQ_LO, _FREQ_HI = 0x00, 0x07, 0x09, 0x0C, 0x0D
_SAG_PEAK_CFG = 0x05
_PL_CONST_H, _PL_CONST_L, _MMODE0, _MMODE1 = 0x31, 0x32, 0x33, 0x34
_START_TH, _PHASE_TH = (0x35, 0x36, 0x37), (0x38, 0x39, 0x3A)
# of phase A; B and C follow two or four further on
_POWER_GAIN, _PHASE_ANGLE, _VOLTAGE_GAIN, _CURRENT_GAIN = 0x47, 0x48, 0x61, 0x62
_SOFT_RESET, _EMM_STATE0, _EMM_STATE1, _LAST_SPI_DATA, _ACCESS = 0x70, 0x71, 0x72, 0x78, 0x7F
# all phases together; A, B and C follow
_FORWARD, _REVERSE = 0x80, 0x84
_POWER, _POWER_LSB, _VOLTAGE, _CURRENT = 0xB1, 0xC1, 0xD9, 0xDD

_UNLOCK = 0x55AA
_RESET_WORD = 0x789A
_ATTEMPTS = 4
# the chip's own, before anybody has compared it with anything
_NO_GAIN = 32768
# with which no board's voltage is beyond its register, 655.35 V
_FIRST_VOLTAGE_GAIN = 4096
# of a mean, while calibrating; until the chip's own means are of the new gains; and how near they must come
_LOOKS = 8
_SETTLE_MS = 2000
_NEAR = 200
# 5 %: with voltage and current right, only an angle is left
_POWER_GAIN_MOST = 1638


def make(settings, buses) -> "Atm90e32":
    phases = settings.choice("phases", (1, 3))
    spi, select = buses.spi(settings)
    return Atm90e32(
        settings.role,
        settings.boolean("reversed"),
        spi,
        select,
        phases,
        settings.choice("phase_sum", ("net", "each"), "net"),
        settings.choice("frequency_hz", (50, 60), 50),
        settings.choice("amplification", (1, 2, 4), 1),
        # a chip that sees half of the current counts half of the energy
        settings.integer("current_multiplier", 1, 8, 1),
        settings.integers("voltage_gain", phases, 1, 65535, _NO_GAIN),
        settings.integers("current_gain", phases, 1, 65535, _NO_GAIN),
        settings.integers("power_gain", phases, -32768, 32767, 0),
        settings.integers("phase_angle", phases, -calibration.ANGLE_MOST, calibration.ANGLE_MOST, 0),
    )


class Atm90e32(Sensor):
    """`spi` has `write_readinto`; `select(0)` chooses the chip.

    With `phase_sum` "net" import of one phase and export of another cancel at each moment, as most utilities count;
    with "each" every phase counts on its own.
    """

    volatile = True

    def __init__(
        self, role, backwards, spi, select, phases, phase_sum, frequency_hz, amplification, multiplier, voltage_gain,
        current_gain, power_gain, phase_angle,
    ) -> None:  # fmt: skip
        super().__init__(role, backwards)
        self._spi = spi
        self._select = select
        self._phases = phases
        self._energy_registers = (0,) if phases == 3 and phase_sum == "net" else tuple(range(1, phases + 1))
        self.frequency_hz = frequency_hz
        self._amplification = {1: 0x0000, 2: 0x0015, 4: 0x002A}[amplification]
        self._multiplier = multiplier
        self.voltage_gain = list(voltage_gain)
        self.current_gain = list(current_gain)
        self.power_gain = list(power_gain)
        self.phase_angle = list(phase_angle)
        self.calibrated = not any(self._is_new(phase) for phase in range(phases))
        self._buffer = bytearray(4)
        self._request = bytearray(4)
        self._begun = False
        # in 0.01 pulses since boot
        self._counted = [0, 0]

    async def read(self, epoch_s: "int | None" = None):
        await self.begin()
        if not self.calibrated:
            # what it counts is no energy, and must not come into the registers
            raise SensorError(UNCALIBRATED)
        for register in self._energy_registers:
            self._counted[0] += self._checked(_FORWARD + register)
            self._counted[1] += self._checked(_REVERSE + register)
        scale = 25 * self._multiplier
        power_mw, voltage_mv, current_ma = await self.measure()
        power_w = tuple([_towards_zero(power, 1000) for power in power_mw])
        return self.sample(
            self._counted[0] * scale // 8, self._counted[1] * scale // 8, power_w, voltage_mv, current_ma, self._flags()
        )

    async def begin(self) -> None:
        """Sets the chip up where it is not. Raises SensorError."""
        if self._get(_METER_EN) != 1 or not self._gains_stand(1 if self._begun else self._phases):
            # after a restart of this processor alone the chip has gone on counting, and is not reset
            await self._begin()
        self._begun = True

    async def measure(self, looks: int = 1):
        """(power [mW], voltage [mV], current [mA]) of each phase; means of `looks`. Raises SensorError."""
        sums = [[0] * self._phases for _ in range(3)]
        for look in range(looks):
            if look:
                await asyncio.sleep_ms(200)
            for phase in range(self._phases):
                power = self._checked(_POWER + phase) << 16 | self._checked(_POWER_LSB + phase)
                sums[0][phase] += power - (1 << 32) if power >> 31 else power
                sums[1][phase] += self._checked(_VOLTAGE + phase)
                sums[2][phase] += self._checked(_CURRENT + phase)
        multiplier = self._multiplier
        return (
            tuple([_towards_zero(power * 32 * multiplier, 100 * looks) for power in sums[0]]),
            tuple([10 * voltage // looks for voltage in sums[1]]),
            tuple([current * multiplier // looks for current in sums[2]]),
        )

    async def calibrate(self, phase: int, voltage_mv: int, current_ma: int, power_mw: "int | None" = None) -> None:
        """Takes the gains with which `phase` (0 to 2) shows what a reference shows at a load of power factor 1.

        Voltage and current first, then the power, where it is given. The chip has them from then on, but forgets them
        without power: `gains()` belong into the sensor's settings. Raises SensorError, or ValueError that says what to
        look at; nothing is changed then.
        """
        before = self.gains()
        try:
            if self._is_new(phase):
                self.voltage_gain[phase] = _FIRST_VOLTAGE_GAIN
                await self._take_gains()
            _, measured_mv, measured_ma = await self.measure(_LOOKS)
            self.voltage_gain[phase] = calibration.gain(self.voltage_gain[phase], voltage_mv, measured_mv[phase])
            self.current_gain[phase] = calibration.gain(self.current_gain[phase], current_ma, measured_ma[phase])
            await self._take_gains()
            _, measured_mv, measured_ma = await self.measure(_LOOKS)
            _follows("voltage", measured_mv[phase], voltage_mv)
            _follows("current", measured_ma[phase], current_ma)
            if power_mw is not None:
                measured_mw = await self._forward_mw(phase)
                wanted = calibration.power_gain(self.power_gain[phase], power_mw, measured_mw)
                if abs(wanted) > _POWER_GAIN_MOST:
                    raise ValueError(
                        "power and volts times amps do not agree: is the load resistive, and the phase its own?"
                    )
                self.power_gain[phase] = wanted
                await self._take_gains()
                _follows("power", await self._forward_mw(phase), power_mw)
        except ValueError:
            await self._set_gains(before)
            raise

    async def calibrate_angle(self, phase: int, voltage_mv: int, current_ma: int, power_mw: int) -> None:
        """Takes the angle with which `phase` shows a reference's power at an inductive load, as `calibrate` does."""
        before = self.gains()
        try:
            self.phase_angle[phase] = 0
            await self._take_gains()
            apparent_mw = voltage_mv * current_ma // 1000
            measured_mw = await self._forward_mw(phase)
            angle = calibration.phase_angle(power_mw, measured_mw, apparent_mw, self.frequency_hz)
            self.phase_angle[phase] = angle
            await self._take_gains()
            _follows("power", await self._forward_mw(phase), power_mw)
        except ValueError:
            await self._set_gains(before)
            raise

    def gains(self) -> "dict[str, list[int]]":
        """As they stand in the sensor's settings."""
        return {
            "voltage_gain": list(self.voltage_gain),
            "current_gain": list(self.current_gain),
            "power_gain": list(self.power_gain),
            "phase_angle": list(self.phase_angle),
        }

    def _is_new(self, phase: int) -> bool:
        return self.voltage_gain[phase] == self.current_gain[phase] == _NO_GAIN

    async def _set_gains(self, gains: "dict[str, list[int]]") -> None:
        for name, values in gains.items():
            setattr(self, name, values)
        await self._take_gains()

    async def _take_gains(self) -> None:
        self._put(_ACCESS, _UNLOCK)
        self._write_gains()
        self._put(_ACCESS, 0)
        await asyncio.sleep_ms(_SETTLE_MS)

    async def _forward_mw(self, phase: int) -> int:
        power_mw = (await self.measure(_LOOKS))[0][phase]
        return -power_mw if self._backwards else power_mw

    async def _begin(self) -> None:
        self._put(_SOFT_RESET, _RESET_WORD)
        await asyncio.sleep_ms(10)
        self._put(_ACCESS, _UNLOCK)
        self._put(_METER_EN, 1)
        if self._get(_METER_EN) != 1:
            raise SensorError("the chip does not answer")
        hertz = 100 * self.frequency_hz
        # 3,200 pulses per kWh: 450e9 / 3200
        settings = [(_SAG_PEAK_CFG, 0x143F), (_ZX_CONFIG, 0xD654), (_PL_CONST_H, 0x0861), (_PL_CONST_L, 0xC468)]
        settings += [(_FREQ_LO, hertz - 300), (_FREQ_HI, hertz + 300)]
        # four wires, sums with signs; bit 12: 60 Hz
        settings += [(_MMODE0, 0x0087 | (1 << 12 if self.frequency_hz == 60 else 0)), (_MMODE1, self._amplification)]
        # from 0.9 W all together and 0.06 W of one phase on
        settings += [(register, 0x0AFC) for register in _START_TH] + [(register, 0x00BC) for register in _PHASE_TH]
        # a phase is lost below 23 V, as a peak in the converter's units
        settings += [(_PHASE_LOSS_TH, min(2300 * 14142 * 32768 // (20_000 * self.voltage_gain[0]), 0xFFFF))]
        for register, value in settings:
            self._put(register, value)
        self._write_gains()
        self._put(_ACCESS, 0)
        # what was counted before the gains were written
        for register in self._energy_registers:
            self._get(_FORWARD + register)
            self._get(_REVERSE + register)

    def _write_gains(self) -> None:
        for phase in range(self._phases):
            for register, value in self._gains(phase):
                self._put(register, value)

    def _gains_stand(self, phases: int) -> bool:
        """Whether the chip knows the gains of the first `phases`; without power it forgets them."""
        return all(self._get(register) == value for phase in range(phases) for register, value in self._gains(phase))

    def _gains(self, phase: int) -> "tuple[tuple[int, int], ...]":
        angle = self.phase_angle[phase]
        return (
            (_POWER_GAIN + 2 * phase, self.power_gain[phase] & 0xFFFF),
            (_PHASE_ANGLE + 2 * phase, angle if angle >= 0 else 0x8000 | -angle),
            (_VOLTAGE_GAIN + 4 * phase, self.voltage_gain[phase]),
            (_CURRENT_GAIN + 4 * phase, self.current_gain[phase]),
        )

    def _flags(self) -> "tuple[str, ...]":
        if self._phases == 1:
            return ()
        flags = ()
        if self._checked(_EMM_STATE0) & 0x0200:
            flags += ("phase-order",)
        if self._checked(_EMM_STATE1) & 0x0700:
            flags += ("phase-loss",)
        return flags

    def _checked(self, register: int) -> int:
        """A register's value, certain: the chip repeats what it last sent. So clearing by reading loses nothing."""
        value = self._get(register)
        for _ in range(_ATTEMPTS):
            again = self._get(_LAST_SPI_DATA)
            if again == value:
                return value
            value = again
        raise SensorError("damaged answers on the SPI")

    def _get(self, register: int) -> int:
        return self._transfer(0x8000 | register, 0)

    def _put(self, register: int, value: int) -> None:
        self._transfer(register, value)

    def _transfer(self, address: int, value: int) -> int:
        request = self._request
        request[0], request[1], request[2], request[3] = address >> 8, address & 0xFF, value >> 8, value & 0xFF
        self._select(0)
        self._spi.write_readinto(request, self._buffer)
        self._select(1)
        return self._buffer[2] << 8 | self._buffer[3]


def _follows(what: str, measured: int, reference: int) -> None:
    """Raises ValueError unless what is measured with the new gains is what the reference shows, within 1/_NEAR."""
    if abs(measured - reference) * _NEAR > reference:
        raise ValueError("with its new gain the %s is %d, not %d: is the load steady?" % (what, measured, reference))


def _towards_zero(number: int, divisor: int) -> int:
    return number // divisor if number >= 0 else -(-number // divisor)
