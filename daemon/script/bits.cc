// SPDX-License-Identifier: MIT
//
// "bit": operations on 32-bit numbers. Source: the documentation of LuaBitOp.
#include <bit>
#include <cmath>
#include <cstdint>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"

namespace kvd {
namespace {

// A number modulo 2^32, rounded to the nearest one; 0 if it is none.
uint32_t BitsAt(lua_State* lua, int index) {
  constexpr lua_Number kRange = 4294967296.0;
  const lua_Number number = luaL_checknumber(lua, index);
  if (!std::isfinite(number)) return 0;
  const lua_Number low = std::fmod(std::nearbyint(number), kRange);
  return static_cast<uint32_t>(static_cast<int64_t>(low));
}

int PushBits(lua_State* lua, uint32_t bits) {
  lua_pushnumber(lua, static_cast<int32_t>(bits));
  return 1;
}

int ToBit(lua_State* lua) { return PushBits(lua, BitsAt(lua, 1)); }
int Not(lua_State* lua) { return PushBits(lua, ~BitsAt(lua, 1)); }
int SwapBytes(lua_State* lua) {
  return PushBits(lua, __builtin_bswap32(BitsAt(lua, 1)));
}

template <typename Join>
int JoinAll(lua_State* lua, Join join) {
  uint32_t bits = BitsAt(lua, 1);
  for (int i = lua_gettop(lua); i > 1; --i) bits = join(bits, BitsAt(lua, i));
  return PushBits(lua, bits);
}
int And(lua_State* lua) {
  return JoinAll(lua, [](uint32_t a, uint32_t b) { return a & b; });
}
int Or(lua_State* lua) {
  return JoinAll(lua, [](uint32_t a, uint32_t b) { return a | b; });
}
int Xor(lua_State* lua) {
  return JoinAll(lua, [](uint32_t a, uint32_t b) { return a ^ b; });
}

// Only the lower five bits of a distance count.
int Distance(lua_State* lua) { return static_cast<int>(BitsAt(lua, 2) & 31); }

int ShiftLeft(lua_State* lua) {
  return PushBits(lua, BitsAt(lua, 1) << Distance(lua));
}
int ShiftRight(lua_State* lua) {
  return PushBits(lua, BitsAt(lua, 1) >> Distance(lua));
}
int ShiftSigned(lua_State* lua) {
  const auto bits = static_cast<int32_t>(BitsAt(lua, 1));
  return PushBits(lua, static_cast<uint32_t>(bits >> Distance(lua)));
}
int RotateLeft(lua_State* lua) {
  return PushBits(lua, std::rotl(BitsAt(lua, 1), Distance(lua)));
}
int RotateRight(lua_State* lua) {
  return PushBits(lua, std::rotr(BitsAt(lua, 1), Distance(lua)));
}

// So many digits from the lowest one up, in upper case for a negative number.
int ToHex(lua_State* lua) {
  constexpr int64_t kDigitsMax = 8;
  uint32_t bits = BitsAt(lua, 1);
  int64_t digits = kDigitsMax;
  if (!lua_isnoneornil(lua, 2)) digits = static_cast<int32_t>(BitsAt(lua, 2));
  const char* alphabet = "0123456789abcdef";
  if (digits < 0) {
    digits = -digits;
    alphabet = "0123456789ABCDEF";
  }
  if (digits > kDigitsMax) digits = kDigitsMax;
  char text[kDigitsMax];
  for (int64_t i = digits; i-- > 0; bits >>= 4) text[i] = alphabet[bits & 15];
  lua_pushlstring(lua, text, static_cast<size_t>(digits));
  return 1;
}

constexpr luaL_Reg kBitFunctions[] = {
    {"tobit", ToBit},       {"bnot", Not},
    {"band", And},          {"bor", Or},
    {"bxor", Xor},          {"lshift", ShiftLeft},
    {"rshift", ShiftRight}, {"arshift", ShiftSigned},
    {"rol", RotateLeft},    {"ror", RotateRight},
    {"bswap", SwapBytes},   {"tohex", ToHex}};

}  // namespace

void AddBits(lua_State* lua) {
  lua_newtable(lua);
  SetFunctions(lua, kBitFunctions);
  lua_setfield(lua, -2, "bit");
}

}  // namespace kvd
