// SPDX-License-Identifier: MIT
//
// string, table, cjson and bit do what scripts know of them.
#include "daemon/script/libraries.h"

#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class LibrariesTest : public ScriptRig {};

struct Case {
  const char* expression;
  const char* shown;
};

constexpr Case kStrings[] = {
    {"string.find('hello', 'l')", "3"},
    {"select(2, string.find('hello', 'l+'))", "4"},
    {"string.find('hello', 'xyz')", "nil"},
    {"string.find('a.b', '.', 1, true)", "2"},
    {"string.find('a.b', '.', 2, true)", "2"},
    {"string.find('abc', 'b', -1)", "nil"},
    {"string.find('abc', '', 10)", "4"},
    {"string.find('', '')", "1"},
    {"string.find('abc', '^b')", "nil"},
    {"string.find('abc', 'c$')", "3"},
    {"string.find('a$c', '$c')", "2"},
    {"string.match('key = value', '(%w+)%s*=%s*(%w+)')", "key"},
    {"select(2, string.match('key = value', '(%w+)%s*=%s*(%w+)'))", "value"},
    {"string.match('abc', '()b()')", "2"},
    {"string.match('2024-05-06', '^(%d+)-(%d+)')", "2024"},
    {"string.match('[[x]]', '%[%[(.-)%]%]')", "x"},
    {"string.match('f(a(b)c)d', '%b()')", "(a(b)c)"},
    {"string.match('THE (quick) fox', '%f[%a]%a+%f[%A]')", "THE"},
    {"string.match('\"it\"', '([\"\\'])(.-)%1')", "\""},
    {"string.match('x]y', '[]]')", "]"},
    {"string.match('x^y', '[x^]+')", "x^"},
    {"string.match('xyz', '[^x]+')", "yz"},
    {"string.match('a-b', '[a%-]+')", "a-"},
    {"string.match('0x1F', '%x+', 3)", "1F"},
    {"string.match('aaa', 'a-b')", "nil"},
    {"string.match('aaab', 'a-b')", "aaab"},
    {"string.match('ab', 'a?b?c?')", "ab"},
    {"string.match('a\\0b', 'a%zb') ~= nil", "true"},
    {"string.gsub('hello world', 'o', '0')", "hell0 w0rld"},
    {"select(2, string.gsub('hello world', 'o', '0'))", "2"},
    {"string.gsub('hello', '', '-')", "-h-e-l-l-o-"},
    {"string.gsub('abc', '%w', '%0%0')", "aabbcc"},
    {"string.gsub('abc', '%w', '%%')", "%%%"},
    {"string.gsub('a b', '(%w) (%w)', '%2 %1')", "b a"},
    {"string.gsub('$name', '%$(%w+)', {name = 'x'})", "x"},
    {"string.gsub('$none', '%$(%w+)', {name = 'x'})", "$none"},
    {"string.gsub('abc', 'b', function(c) return c:upper() end)", "aBc"},
    {"string.gsub('aaa', 'a', 'b', 2)", "bba"},
    {"string.gsub('aaa', '^a', 'b')", "baa"},
    {"(function() local n = '' for k, v in "
     "string.gmatch('a=1, b=2', '(%w+)=(%w+)') do n = n .. k .. v end return "
     "n end)()",
     "a1b2"},
    {"string.rep('ab', 3)", "ababab"},
    {"string.rep('ab', 0)", ""},
    {"string.rep('ab', -1)", ""},
    {"string.rep('', 1e9)", ""},
    {"string.format('%5.1f|%d|%s|%q', 1.25, 7, 'x', 'y')", "  1.2|7|x|\"y\""},
    {"('abc'):upper():lower():reverse()", "cba"},
    {"('abc'):byte(2)", "98"},
    {"string.char(104, 105)", "hi"},
    {"('hello'):sub(2, -2)", "ell"},
    {"#('abc'):rep(100)", "300"},
};

TEST_F(LibrariesTest, Strings) {
  for (const Case& c : kStrings) {
    EXPECT_EQ(Show("(" + std::string(c.expression) + ")"), c.shown)
        << c.expression;
  }
}

TEST_F(LibrariesTest, BadPatternsAreErrors) {
  for (const auto& [pattern, error] : std::map<std::string, std::string>{
           {"%", "malformed pattern (ends with '%')"},
           {"[a", "malformed pattern (missing ']')"},
           {"[]", "malformed pattern (missing ']')"},
           {"[a%", "malformed pattern (missing ']')"},
           {"%f", "missing '[' after '%f' in pattern"},
           {"%b", "unbalanced pattern"},
           {"%1", "invalid capture index"},
           {"a)", "invalid pattern capture"},
           {"(a", "unfinished capture"}}) {
    EXPECT_NE(Show("select(2, pcall(string.match, 'aa', '" + pattern + "'))")
                  .find(error),
              std::string::npos)
        << pattern;
  }
}

constexpr Case kTables[] = {
    {"table.concat({1, 2, 'a'}, ', ')", "1, 2, a"},
    {"table.concat((function() local t = {3, 1, 2} table.sort(t) return t "
     "end)())",
     "123"},
    {"table.concat((function() local t = {3, 1, 2} table.sort(t, function(a, "
     "b) return a > b end) return t end)())",
     "321"},
    {"table.concat((function() local t = {1, 3} table.insert(t, 2, 2) "
     "table.insert(t, 4) return t end)())",
     "1234"},
    {"(function() local t = {1, 2} return table.remove(t, 1) .. #t end)()",
     "11"},
    {"select('#', unpack({1, 2, 3}))", "3"},
    {"select('#', unpack({1, 2, 3}, 2))", "2"},
    {"select('#', unpack({}, 1, 3))", "3"},
    {"select('#', unpack({1}, 2, 1))", "0"},
    {"pcall(unpack, {}, 1, 1e6)", "false"},
};

TEST_F(LibrariesTest, Tables) {
  for (const Case& c : kTables) {
    EXPECT_EQ(Show(c.expression), c.shown) << c.expression;
  }
}

constexpr Case kEncoded[] = {
    {"cjson.encode({1, 2, 'x'})", "[1,2,\"x\"]"},
    {"cjson.encode({})", "{}"},
    {"cjson.encode({{}, {}})", "[{},{}]"},
    {"cjson.encode({a = true})", "{\"a\":true}"},
    {"cjson.encode({[1] = 1, [3] = 3})", "[1,null,3]"},
    {"cjson.encode({[1.5] = 1})", "{\"1.5\":1}"},
    {"cjson.encode(cjson.null)", "null"},
    {"cjson.encode(1e15)", "1e+15"},
    {"cjson.encode(123456789012)", "123456789012"},
    {"cjson.encode(0.1)", "0.1"},
    {"cjson.encode(1/3)", "0.33333333333333"},
    {"cjson.encode('a\"\\\\/\\n\\1\\127')",
     "\"a\\\"\\\\\\/\\n\\u0001\\u007f\""},
    {"select(2, pcall(cjson.encode, 0/0))",
     "Cannot serialise number: must not be NaN or Inf"},
    {"select(2, pcall(cjson.encode, redis.call))",
     "Cannot serialise function: type not supported"},
    {"select(2, pcall(cjson.encode, {[1e9] = 1}))",
     "Cannot serialise table: excessively sparse array"},
    {"(function() cjson.encode_sparse_array(true) return cjson.encode({[1e9] "
     "= 1}) end)()",
     "{\"1000000000\":1}"},
    {"select(2, pcall(cjson.encode, {[true] = 1}))",
     "Cannot serialise boolean: table key must be a number or string"},
    {"(function() cjson.encode_max_depth(2) return select(2, "
     "pcall(cjson.encode, {{{1}}})) end)()",
     "Cannot serialise, excessive depth (3)"},
    {"(function() cjson.encode_number_precision(3) return "
     "cjson.encode(3.14159) end)()",
     "3.14"},
    {"select('#', cjson.encode_sparse_array())", "3"},
    {"pcall(cjson.encode_max_depth, 0)", "false"},
    {"pcall(cjson.encode_max_depth, 1e6)", "false"},
};

TEST_F(LibrariesTest, JsonIsMade) {
  for (const Case& c : kEncoded) {
    EXPECT_EQ(Show(c.expression), c.shown) << c.expression;
  }
}

constexpr Case kDecoded[] = {
    {"cjson.decode('[1, 2.5, -3e2, true, false, null]')[2]", "2.5"},
    {"cjson.decode('[1, 2.5, -3e2, true, false, null]')[3]", "-300"},
    {"cjson.decode('[null]')[1] == cjson.null", "true"},
    {"cjson.decode('{\"a\": {\"b\": [\"x\"]}}').a.b[1]", "x"},
    {"cjson.decode('\"a\\\\n\\\\u00e9\\\\ud83d\\\\ude00\\\\/\"')",
     "a\n\xc3\xa9\xf0\x9f\x98\x80/"},
    {"cjson.decode(' 7 ')", "7"},
    {"cjson.decode('{}') ~= nil", "true"},
    {"#cjson.decode('[]')", "0"},
    {"cjson.decode(cjson.encode('\\1\\2\\3')) == '\\1\\2\\3'", "true"},
    {"cjson.decode('0x1F')", "31"},
    {"cjson.decode('-inf')", "-inf"},
    {"select(2, pcall(cjson.decode, ''))",
     "Expected value but found T_END at character 1"},
    {"select(2, pcall(cjson.decode, '[1,]'))",
     "Expected value but found T_ARR_END at character 4"},
    {"select(2, pcall(cjson.decode, '[1 2]'))",
     "Expected comma or array end but found T_NUMBER at character 4"},
    {"select(2, pcall(cjson.decode, '{1:2}'))",
     "Expected object key string but found T_NUMBER at character 2"},
    {"select(2, pcall(cjson.decode, '{\"a\" 2}'))",
     "Expected colon but found T_NUMBER at character 6"},
    {"select(2, pcall(cjson.decode, '1 2'))",
     "Expected the end but found T_NUMBER at character 3"},
    {"pcall(cjson.decode, '\"abc')", "false"},
    {"pcall(cjson.decode, '\"\\\\x\"')", "false"},
    {"pcall(cjson.decode, '\"\\\\ud800\"')", "false"},
    {"pcall(cjson.decode, '\"\\\\u12\"')", "false"},
    {"pcall(cjson.decode, '1\\0')", "false"},
    {"pcall(cjson.decode, '-')", "false"},
    {"pcall(cjson.decode, 'nul')", "false"},
    {"(function() cjson.decode_max_depth(2) return select(2, "
     "pcall(cjson.decode, '[[[]]]')) end)()",
     "Found too many nested data structures (3)"},
    {"cjson.decode('[1e999]')[1]", "inf"},
    {"cjson.decode('[-1e999, 1]')[1]", "-inf"},
    {"cjson.decode('[1e-999]')[1]", "0"},
    {"(function() cjson.decode_invalid_numbers(false) return "
     "pcall(cjson.decode, 'nan') end)()",
     "false"},
};

TEST_F(LibrariesTest, JsonIsRead) {
  for (const Case& c : kDecoded) {
    EXPECT_EQ(Show(c.expression), c.shown) << c.expression;
  }
}

constexpr Case kBits[] = {
    {"bit.tobit(0xffffffff)", "-1"},
    {"bit.tobit(0xffffffff + 1)", "0"},
    {"bit.tobit(2^40 + 1234)", "1234"},
    {"bit.tobit(-1)", "-1"},
    {"bit.tobit(1.5)", "2"},
    {"bit.tobit(0/0)", "0"},
    {"bit.bnot(0)", "-1"},
    {"bit.band(0x12345678, 0xff, 0xf)", "8"},
    {"bit.bor(1, 2, 4, 8)", "15"},
    {"bit.bxor(0xa5a5f0f0, 0xaa55ff00)", "267390960"},
    {"bit.lshift(1, 31)", "-2147483648"},
    {"bit.lshift(1, 33)", "2"},
    {"bit.rshift(-256, 8)", "16777215"},
    {"bit.arshift(-256, 8)", "-1"},
    {"bit.rol(0x12345678, 12)", "1164411171"},
    {"bit.ror(0x12345678, 12)", "1736516421"},
    {"bit.bswap(0x12345678)", "2018915346"},
    {"bit.tohex(1)", "00000001"},
    {"bit.tohex(-1)", "ffffffff"},
    {"bit.tohex(-1, -8)", "FFFFFFFF"},
    {"bit.tohex(0x21, 4)", "0021"},
    {"bit.tohex(0x87654321, 4)", "4321"},
    {"pcall(bit.band)", "false"},
};

TEST_F(LibrariesTest, Bits) {
  for (const Case& c : kBits) {
    EXPECT_EQ(Show(c.expression), c.shown) << c.expression;
  }
}

}  // namespace
}  // namespace kvd
