// SPDX-License-Identifier: MIT
//
// Commands that see a value as a row of bits.
#include <algorithm>
#include <optional>
#include <vector>

#include "base/strings/bit_string.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr uint64_t kByteBits = 8;

// What one BITOP reads: some 50 ms of the loop.
constexpr uint64_t kBitOpBytesMax = uint64_t{512} << 20;

// The number of a bit that a value may have, in units of `unit` bits; nothing
// after an error reply.
std::optional<uint64_t> BitOffset(Call& call, std::string_view word,
                                  int64_t unit = 1) {
  const uint64_t limit = call.service.config.limits.value_bytes;
  const auto number = ParseInteger(word);
  int64_t offset = 0;
  if (!number || __builtin_mul_overflow(*number, unit, &offset) || offset < 0 ||
      static_cast<uint64_t>(offset) / kByteBits >= limit) {
    call.reply.Error("ERR bit offset is not an integer or out of range");
    return std::nullopt;
  }
  return static_cast<uint64_t>(offset);
}

bool BitOf(std::string_view bytes, uint64_t offset) {
  return (BitField{false, 1, offset}).Load(bytes) != 0;
}

// Bytes of a value in which that bit is the last one.
size_t BytesUpTo(uint64_t last_bit) { return last_bit / kByteBits + 1; }

// A part of a value as BITCOUNT and BITPOS are given it.
struct GivenRange {
  int64_t start = 0;
  std::optional<int64_t> end;
  bool in_bits = false;
};

// The words from `first` on; nothing after an error reply.
std::optional<GivenRange> ParseRange(Call& call, size_t first) {
  GivenRange range;
  const auto words = call.args.subspan(first);
  if (words.empty()) return range;
  if (words.size() > 3) {
    call.reply.Error(kSyntaxError);
    return std::nullopt;
  }
  const auto start = IntegerWord(call, first);
  if (!start) return std::nullopt;
  range.start = *start;
  range.in_bits = words.size() == 3 && IsWord(words[2], "BIT");
  if (words.size() == 3 && !range.in_bits && !IsWord(words[2], "BYTE")) {
    call.reply.Error(kSyntaxError);
    return std::nullopt;
  }
  if (words.size() == 1) return range;
  range.end = IntegerWord(call, first + 1);
  return range.end ? std::optional(range) : std::nullopt;
}

// The bits that it means of a value of `bytes`; nothing when there are none.
std::optional<BitRange> Resolve(const GivenRange& given, size_t bytes) {
  const auto size =
      static_cast<int64_t>(given.in_bits ? bytes * kByteBits : bytes);
  const auto from_start = [&](int64_t index) {
    return index < 0 ? std::max<int64_t>(index + size, 0) : index;
  };
  const int64_t start = from_start(given.start);
  const int64_t end = std::min(from_start(given.end.value_or(-1)), size - 1);
  if (start > end) return std::nullopt;
  const auto first = static_cast<uint64_t>(start);
  const auto last = static_cast<uint64_t>(end);
  if (given.in_bits) return BitRange{first, last};
  return BitRange{first * kByteBits, last * kByteBits + kByteBits - 1};
}

struct NamedBitOp {
  std::string_view name;
  BitOp op;
};
constexpr NamedBitOp kBitOps[] = {
    {"AND", BitOp::kAnd},     {"OR", BitOp::kOr},     {"XOR", BitOp::kXor},
    {"NOT", BitOp::kNot},     {"DIFF", BitOp::kDiff}, {"DIFF1", BitOp::kDiff1},
    {"ANDOR", BitOp::kAndOr}, {"ONE", BitOp::kOne},
};

// The operation of the second word, for as many keys as there are; nothing
// after an error reply.
std::optional<BitOp> ParseBitOp(Call& call, size_t sources) {
  const auto* const named = std::find_if(
      std::begin(kBitOps), std::end(kBitOps),
      [&](const NamedBitOp& each) { return IsWord(call.args[1], each.name); });
  if (named == std::end(kBitOps)) {
    call.reply.Error(kSyntaxError);
    return std::nullopt;
  }
  const BitOp op = named->op;
  if (op == BitOp::kNot && sources != 1) {
    call.reply.Error("ERR BITOP NOT must be called with a single source key.");
    return std::nullopt;
  }
  if ((op == BitOp::kDiff || op == BitOp::kDiff1 || op == BitOp::kAndOr) &&
      sources < 2) {
    call.reply.Error(fmt::format(
        "ERR BITOP {} must be called with at least two source keys.",
        named->name));
    return std::nullopt;
  }
  return op;
}

// What BITOP reads.
struct Sources {
  std::vector<const Entry*> entries;
  size_t size_max = 0;
};

// Nothing after an error reply.
std::optional<Sources> FindSources(Call& call) {
  Sources sources;
  uint64_t bytes = 0;
  for (const std::string_view key : call.args.subspan(3)) {
    const Entry* entry = Lookup(call, key);
    sources.entries.push_back(entry);
    sources.size_max = std::max(sources.size_max, SizeOf(entry));
    bytes += SizeOf(entry);
  }
  if (bytes <= kBitOpBytesMax) return sources;
  call.reply.Error(
      fmt::format("ERR the values that this BITOP reads take {} bytes, and {} "
                  "is the most; name fewer keys at once",
                  bytes, kBitOpBytesMax));
  return std::nullopt;
}

enum class FieldAction { kGet, kSet, kIncrBy };
enum class Overflow { kWrap, kSat, kFail };

// One subcommand of BITFIELD.
struct FieldStep {
  FieldAction action;
  Overflow overflow;
  BitField field;
  int64_t operand = 0;

  bool writes() const { return action != FieldAction::kGet; }
  uint64_t last_bit() const {
    return field.offset + static_cast<uint64_t>(field.bits) - 1;
  }
};

// A field's type, such as i16; nothing after an error reply.
std::optional<BitField> ParseFieldType(Call& call, std::string_view word) {
  const bool is_signed = word.starts_with('i');
  const int bits_max =
      is_signed ? BitField::kSignedBitsMax : BitField::kUnsignedBitsMax;
  if (is_signed || word.starts_with('u')) {
    const auto bits = ParseInteger(word.substr(1));
    if (bits && *bits >= 1 && *bits <= bits_max) {
      return BitField{is_signed, static_cast<int>(*bits), 0};
    }
  }
  call.reply.Error(
      "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is "
      "not supported but i64 is.");
  return std::nullopt;
}

std::optional<Overflow> ParseOverflow(Call& call, std::string_view word) {
  if (IsWord(word, "WRAP")) return Overflow::kWrap;
  if (IsWord(word, "SAT")) return Overflow::kSat;
  if (IsWord(word, "FAIL")) return Overflow::kFail;
  call.reply.Error("ERR Invalid OVERFLOW type specified");
  return std::nullopt;
}

std::optional<FieldAction> FieldActionOf(std::string_view word) {
  if (IsWord(word, "GET")) return FieldAction::kGet;
  if (IsWord(word, "SET")) return FieldAction::kSet;
  if (IsWord(word, "INCRBY")) return FieldAction::kIncrBy;
  return std::nullopt;
}

// The subcommand at `*index`, which moves to its last word; nothing after an
// error reply.
std::optional<FieldStep> TakeFieldStep(Call& call, size_t* index,
                                       Overflow overflow) {
  const size_t first = *index;
  const auto action = FieldActionOf(call.args[first]);
  const size_t operands = action == FieldAction::kGet ? 2 : 3;
  if (!action || first + operands >= call.args.size()) {
    call.reply.Error(kSyntaxError);
    return std::nullopt;
  }
  const auto field = ParseFieldType(call, call.args[first + 1]);
  if (!field) return std::nullopt;
  FieldStep step = {*action, overflow, *field};
  // #2 is the place of the third field of this type.
  std::string_view place = call.args[first + 2];
  const bool counted = place.starts_with('#');
  if (counted) place.remove_prefix(1);
  const auto offset = BitOffset(call, place, counted ? field->bits : 1);
  if (!offset) return std::nullopt;
  step.field.offset = *offset;
  if (step.writes()) {
    const auto operand = IntegerWord(call, first + 3);
    if (!operand) return std::nullopt;
    step.operand = *operand;
  }
  *index = first + operands;
  return step;
}

// The words from the third on; nothing after an error reply.
std::optional<std::vector<FieldStep>> ParseFieldSteps(Call& call) {
  std::vector<FieldStep> steps;
  Overflow overflow = Overflow::kWrap;
  for (size_t i = 2; i < call.args.size(); ++i) {
    if (IsWord(call.args[i], "OVERFLOW") && i + 1 < call.args.size()) {
      const auto parsed = ParseOverflow(call, call.args[++i]);
      if (!parsed) return std::nullopt;
      overflow = *parsed;
      continue;
    }
    const auto step = TakeFieldStep(call, &i, overflow);
    if (!step) return std::nullopt;
    steps.push_back(*step);
  }
  return steps;
}

// Whether what is set is above the field's largest number. Clients know it from
// Redis: in a field without a sign it is taken for a number without one, and
// what is 2^63 below the largest number passes for larger.
bool IsAbove(const BitField& field, int64_t number) {
  int64_t distance = 0;
  if (number >= 0) return number > field.max();
  if (!field.is_signed) return true;
  return number < field.min() &&
         __builtin_sub_overflow(field.max(), number, &distance);
}

// The number that a step makes of the one that is there; nothing if it
// overflows and must not.
std::optional<int64_t> ResultOf(const FieldStep& step, int64_t before) {
  const BitField& field = step.field;
  int64_t wanted = step.operand;
  bool too_large = IsAbove(field, wanted);
  bool too_small = wanted < field.min();
  if (step.action == FieldAction::kIncrBy) {
    const bool beyond = __builtin_add_overflow(before, step.operand, &wanted);
    too_large = beyond ? step.operand > 0 : wanted > field.max();
    too_small = beyond ? step.operand < 0 : wanted < field.min();
  }
  if (!too_large && !too_small) return wanted;
  switch (step.overflow) {
    case Overflow::kWrap:
      return field.Wrapped(static_cast<uint64_t>(wanted));
    case Overflow::kSat:
      return too_large ? field.max() : field.min();
    case Overflow::kFail:
      return std::nullopt;
  }
  return std::nullopt;
}

// Takes a step that writes, and replies; whether that changed something.
bool WriteField(Call& call, const FieldStep& step, NewValue* value) {
  const int64_t before = step.field.Load(value->text());
  const auto after = ResultOf(step, before);
  if (!after) {
    call.reply.Null();
    return false;
  }
  step.field.Store(*after, value->bytes());
  // What is stored has the field's bits alone.
  const int64_t stored = step.field.Load(value->text());
  call.reply.Integer(step.action == FieldAction::kSet ? before : stored);
  return stored != before;
}

void ReadFields(Call& call, const std::vector<FieldStep>& steps) {
  const std::string_view value =
      ValueOrNothing(call, Lookup(call, call.args[1]));
  call.reply.ArrayHeader(steps.size());
  for (const FieldStep& step : steps) {
    call.reply.Integer(step.field.Load(value));
  }
}

// The reply comes before the room for the change: one that is too large stops
// it.
void ChangeFields(Call& call, const std::vector<FieldStep>& steps) {
  size_t size = 0;
  for (const FieldStep& step : steps) {
    if (step.writes()) size = std::max(size, BytesUpTo(step.last_bit()));
  }
  if (!ValueFits(call, size)) return;
  const std::string_view key = call.args[1];
  const Entry* old = call.op->Find(key);
  const std::string_view before = ValueOrNothing(call, old);
  if (call.op->blocked() != Room::kReady) return;
  bool changed = size > before.size();
  NewValue after(std::max(size, before.size()));
  after.Write(0, before);
  call.reply.ArrayHeader(steps.size());
  for (const FieldStep& step : steps) {
    if (step.writes()) {
      changed |= WriteField(call, step, &after);
    } else {
      call.reply.Integer(step.field.Load(after.text()));
    }
  }
  if (!changed) return;
  if (!ReservePut(call, key, after.text().size(), DeadlineOf(old))) return;
  call.op->Put(key, after.text(), DeadlineOf(old), KeyEvent::kSetBit);
}

}  // namespace

void HandleGetBit(Call& call) {
  const auto offset = BitOffset(call, call.args[2]);
  if (!offset) return;
  const Entry* entry = Lookup(call, call.args[1]);
  call.reply.Integer(BitOf(ValueOrNothing(call, entry), *offset) ? 1 : 0);
}

void HandleSetBit(Call& call) {
  const auto offset = BitOffset(call, call.args[2]);
  if (!offset) return;
  const auto bit = ParseInteger(call.args[3]);
  if (!bit || (*bit != 0 && *bit != 1)) {
    return call.reply.Error("ERR bit is not an integer or out of range");
  }
  const std::string_view key = call.args[1];
  const Entry* old = call.op->Find(key);
  const std::string_view before = ValueOrNothing(call, old);
  const bool was = BitOf(before, *offset);
  call.reply.Integer(was ? 1 : 0);
  const size_t size = std::max(before.size(), BytesUpTo(*offset));
  if (size == before.size() && was == (*bit == 1)) return;
  if (!ReservePut(call, key, size, DeadlineOf(old))) return;
  NewValue after(size);
  after.Write(0, before);
  (BitField{false, 1, *offset}).Store(*bit, after.bytes());
  call.op->Put(key, after.text(), DeadlineOf(old), KeyEvent::kSetBit);
}

void HandleBitCount(Call& call) {
  const auto given = ParseRange(call, 2);
  if (!given) return;
  const Entry* entry = Lookup(call, call.args[1]);
  // Otherwise both might become the first one.
  const bool reversed = given->start < 0 && given->end.value_or(0) < 0 &&
                        given->start > given->end;
  const auto range = Resolve(*given, SizeOf(entry));
  if (reversed || !range) return call.reply.Integer(0);
  const std::string_view value = call.op->Value(*entry);
  if (call.op->blocked() != Room::kReady) return;
  call.reply.Integer(static_cast<int64_t>(CountBits(value, *range)));
}

void HandleBitPos(Call& call) {
  const auto bit = IntegerWord(call, 2);
  if (!bit) return;
  if (*bit != 0 && *bit != 1) {
    return call.reply.Error("ERR The bit argument must be 1 or 0.");
  }
  const auto given = ParseRange(call, 3);
  if (!given) return;
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Integer(*bit == 1 ? -1 : 0);
  const auto range = Resolve(*given, entry->value_size());
  if (!range) return call.reply.Integer(-1);
  const std::string_view value = call.op->Value(*entry);
  if (call.op->blocked() != Room::kReady) return;
  const auto found = FindBit(value, *range, *bit == 1);
  if (found) return call.reply.Integer(static_cast<int64_t>(*found));
  // Zeros follow a value, unless the client said where to end.
  const bool in_zeros = *bit == 0 && !given->end;
  call.reply.Integer(in_zeros ? static_cast<int64_t>(value.size() * kByteBits)
                              : -1);
}

void HandleBitOp(Call& call) {
  const std::string_view target = call.args[2];
  const auto op = ParseBitOp(call, call.args.size() - 3);
  if (!op) return;
  const auto sources = FindSources(call);
  if (!sources) return;
  const size_t size = sources->size_max;
  if (size == 0) {
    if (call.op->Find(target) != nullptr) {
      if (!ReserveRemoval(call, target)) return;
      call.op->Remove(target, KeyEvent::kDel);
    }
    return call.reply.Integer(0);
  }
  if (!ValueFits(call, size)) return;
  std::vector<std::string_view> values;
  for (const Entry* entry : sources->entries) {
    values.push_back(ValueOrNothing(call, entry));
  }
  if (!ReservePut(call, target, size, /*deadline_ms=*/0)) return;
  NewValue result(size);
  CombineBits(*op, values, result.bytes());
  call.op->Put(target, result.text(), /*deadline_ms=*/0, KeyEvent::kSet);
  call.reply.Integer(static_cast<int64_t>(size));
}

void HandleBitField(Call& call) {
  const auto steps = ParseFieldSteps(call);
  if (!steps) return;
  if (std::any_of(steps->begin(), steps->end(),
                  [](const FieldStep& step) { return step.writes(); })) {
    ChangeFields(call, *steps);
  } else {
    ReadFields(call, *steps);
  }
}

void HandleBitFieldRo(Call& call) {
  const auto steps = ParseFieldSteps(call);
  if (!steps) return;
  for (const FieldStep& step : *steps) {
    if (step.writes()) {
      return call.reply.Error(
          "ERR BITFIELD_RO only supports the GET subcommand");
    }
  }
  ReadFields(call, *steps);
}

}  // namespace kvd
