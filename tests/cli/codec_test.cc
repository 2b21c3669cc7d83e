// SPDX-License-Identifier: MIT
//
// Formats of dumps: any bytes come back, and what is malformed is refused with
// its place.
#include "cli/records/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cli/records/compression.h"
#include "cli/records/dump_format.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using testing::HasSubstr;

constexpr DumpFormat kFormats[] = {DumpFormat::kJson, DumpFormat::kCsv,
                                   DumpFormat::kResp};

struct Decoded {
  std::vector<Record> records;
  std::string error;
  Place place;  // Of the error.
};

// Feeds the text in pieces of that size.
Decoded Decode(DumpFormat format, const std::string& text, size_t piece) {
  Decoded decoded;
  const std::unique_ptr<RecordDecoder> decoder = MakeDecoder(format);
  size_t begin = 0;
  size_t end = 0;
  while (true) {
    Record record;
    // A copy: its end is the end of an allocation, and it moves.
    const std::string input = text.substr(begin, end - begin);
    const bool is_end = end == text.size();
    const DecodeOutcome outcome = decoder->Next(input, is_end, &record);
    if (outcome == DecodeOutcome::kError) {
      decoded.error = decoder->error();
      decoded.place = decoder->place();
      return decoded;
    }
    begin += decoder->consumed();
    if (outcome == DecodeOutcome::kRecord) {
      decoded.records.push_back(std::move(record));
    } else if (is_end) {
      return decoded;
    } else {
      end += std::min(piece, text.size() - end);
    }
  }
}

std::string Encode(DumpFormat format, const std::vector<Record>& records,
                   const EncodeOptions& options) {
  const std::unique_ptr<RecordEncoder> encoder = MakeEncoder(format, options);
  std::string text;
  encoder->Begin(&text);
  for (const Record& record : records) encoder->Append(record, &text);
  return text;
}

// Bytes that formats trip over more often than others.
std::string RandomBytes(std::mt19937& random) {
  constexpr std::string_view kAwkward("\",\r\n\t \\{}:=*$\0\x7f\xc3\xa9\xff+0",
                                      20);
  std::string bytes;
  for (size_t size = random() % 20; size > 0; --size) {
    bytes.push_back(random() % 3 == 0 ? static_cast<char>(random())
                                      : kAwkward[random() % kAwkward.size()]);
  }
  return bytes;
}

std::vector<Record> RandomRecords(std::mt19937& random) {
  std::vector<Record> records;
  for (int i = 0; i < 50; ++i) {
    Record record = {.key = RandomBytes(random), .value = RandomBytes(random)};
    if (random() % 2 == 0) record.expires_ms = 1 + random();
    record.revision = random();
    record.database = random() % 16;
    records.push_back(std::move(record));
  }
  return records;
}

TEST(Codec, GivesAnyBytesBack) {
  const unsigned seed = 7;
  std::mt19937 random(seed);
  for (const DumpFormat format : kFormats) {
    const bool revisions = format != DumpFormat::kResp;
    const std::vector<Record> records = RandomRecords(random);
    const std::string text =
        Encode(format, records, {.revisions = revisions, .databases = true});
    for (const size_t piece : {size_t{1}, size_t{7}, text.size()}) {
      const Decoded decoded = Decode(format, text, piece);
      ASSERT_EQ(decoded.error, "");
      ASSERT_EQ(decoded.records.size(), records.size());
      for (size_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(decoded.records[i].key, records[i].key);
        EXPECT_EQ(decoded.records[i].value, records[i].value);
        EXPECT_EQ(decoded.records[i].expires_ms, records[i].expires_ms);
        EXPECT_EQ(decoded.records[i].database, records[i].database);
        if (revisions) {
          EXPECT_EQ(decoded.records[i].revision, records[i].revision);
        }
      }
    }
    EXPECT_EQ(FormatByContent(text), format);
  }
}

TEST(Codec, GivesEveryByteBack) {
  for (const DumpFormat format : kFormats) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string one(1, static_cast<char>(byte));
      const Record record = {.key = one, .value = one + one};
      const Decoded decoded = Decode(format, Encode(format, {record}, {}), 64);
      ASSERT_EQ(decoded.records.size(), 1u) << byte << ": " << decoded.error;
      EXPECT_EQ(decoded.records[0].key, one);
      EXPECT_EQ(decoded.records[0].value, one + one);
    }
  }
}

// The layout is a promise to those who read it with other programs.
TEST(Codec, WritesWhatIsDescribed) {
  const std::vector<Record> records = {
      {.key = "greeting", .value = "say \"hi\", all", .database = 0},
      {.key = "\xff",
       .value = std::string("\0", 1),
       .expires_ms = 1900000000000,
       .revision = 7,
       .database = 3}};
  EXPECT_EQ(Encode(DumpFormat::kJson, records,
                   {.revisions = true, .databases = true}),
            "{\"key\":\"greeting\",\"value\":\"say \\\"hi\\\", all\","
            "\"expires_ms\":null,\"db\":0}\n"
            "{\"key_b64\":\"/w==\",\"value\":\"\\u0000\",\"expires_ms\":"
            "1900000000000,\"rev\":7,\"db\":3}\n");
  EXPECT_EQ(
      Encode(DumpFormat::kCsv, records, {.revisions = true, .databases = true}),
      "key,key_b64,value,value_b64,expires_ms,rev,db\r\n"
      "greeting,,\"say \"\"hi\"\", all\",,,,0\r\n"
      ",/w==,,AA==,1900000000000,7,3\r\n");
  EXPECT_EQ(Encode(DumpFormat::kResp, records, {.databases = true}),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
            "*3\r\n$3\r\nSET\r\n$8\r\ngreeting\r\n$13\r\nsay \"hi\", all\r\n"
            "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
            "*5\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$1\r\n" +
                std::string("\0", 1) +
                "\r\n$4\r\nPXAT\r\n$13\r\n"
                "1900000000000\r\n");
}

TEST(Codec, TakesWhatOthersWrite) {
  const auto one = [](DumpFormat format, const std::string& text) {
    const Decoded decoded = Decode(format, text, text.size());
    EXPECT_EQ(decoded.error, "") << text;
    EXPECT_EQ(decoded.records.size(), 1u) << text;
    return decoded.records.empty() ? Record() : decoded.records[0];
  };
  EXPECT_EQ(
      one(DumpFormat::kJson, "\n \r\n{\"value\":\"v\" , \"key\":\"k\"}").value,
      "v");
  EXPECT_EQ(
      one(DumpFormat::kJson, "{\"key\":\"\\u00e9\",\"value\":\"\"}\r\n").key,
      "\xc3\xa9");
  EXPECT_EQ(one(DumpFormat::kCsv, "\xef\xbb\xbfvalue,key\nv,k\n\n").key, "k");
  EXPECT_EQ(one(DumpFormat::kCsv, "key,value,db\r\nk,\"two\nlines\",5").value,
            "two\nlines");
  EXPECT_EQ(one(DumpFormat::kCsv, "key,value_b64\nk,\n").value, "");
  EXPECT_EQ(one(DumpFormat::kResp, "set k v EXAT 12\r\n").expires_ms, 12000);
  EXPECT_EQ(one(DumpFormat::kResp, "SELECT 4\r\nSET k \"a b\"\r\n").database,
            4);
}

TEST(Codec, NamesWhatIsMalformedAndWhere) {
  struct Case {
    DumpFormat format;
    std::string text;
    std::string place;
    std::string error;
  };
  const std::string good = "{\"key\":\"k\",\"value\":\"v\"}\n";
  const Case cases[] = {
      {DumpFormat::kJson, good + "\n" + good + "{\"key\":\"k\"",
       "record 3 (line 4)", "no JSON object"},
      {DumpFormat::kJson, "[]", "record 1 (line 1)", "the line is an array"},
      {DumpFormat::kJson, "7", "record 1 (line 1)", "the line is a number"},
      {DumpFormat::kJson, "\"k\"", "record 1 (line 1)", "the line is a text"},
      {DumpFormat::kJson, "null", "record 1 (line 1)", "the line is null"},
      {DumpFormat::kJson, good + "{\"key\":\"k\"}", "record 2 (line 2)",
       "neither \"value\""},
      {DumpFormat::kJson, "{\"value\":\"k\"}", "record 1 (line 1)",
       "neither \"key\""},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":1}", "record 1 (line 1)",
       "\"value\" is a number, not a text"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":null}", "record 1 (line 1)",
       "\"value\" is null"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":{}}", "record 1 (line 1)",
       "\"value\" is an object"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"key\":\"k\",\"value\":\"v\"}",
       "record 1 (line 1)", "\"key\" is there twice"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"key_b64\":\"\",\"value\":\"v\"}",
       "record 1 (line 1)", "as text and as base64"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value_b64\":\"a\"}",
       "record 1 (line 1)", "\"value_b64\" is no base64"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value_b64\":\"/x==\"}",
       "record 1 (line 1)", "\"value_b64\" is no base64"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":\"v\",\"ttl_ms\":5}",
       "record 1 (line 1)", "unknown field \"ttl_ms\""},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":\"v\",\"expires_ms\":0}",
       "record 1 (line 1)", "no Unix time"},
      {DumpFormat::kJson, "{\"key\":\"k\",\"value\":\"v\",\"expires_ms\":1.5}",
       "record 1 (line 1)", "not a whole number"},
      {DumpFormat::kJson,
       "{\"key\":\"k\",\"value\":\"v\",\"expires_ms\":18446744073709551615}",
       "record 1 (line 1)", "too large"},
      {DumpFormat::kJson, "{\"key\":\"\xff\",\"value\":\"v\"}",
       "record 1 (line 1)", "no JSON object"},
      {DumpFormat::kJson, good.substr(0, good.size() - 1) + "x",
       "record 1 (line 1)", "no JSON object"},
      {DumpFormat::kCsv, "key,value\r\na,b\r\n\"c\nd\",e\r\nf\r\n",
       "record 3 (line 5)", "it has 1 fields, and the header 2"},
      {DumpFormat::kCsv, "key,value\na,b\"c\n", "record 1 (line 2)",
       "a quote within field 2"},
      {DumpFormat::kCsv, "key,value\n\"a\"b,c\n", "record 1 (line 2)",
       "behind the closing quote of field 1"},
      {DumpFormat::kCsv, "key,value\n\"a,c\n", "record 1 (line 2)",
       "never closed"},
      {DumpFormat::kCsv, "key,size\n", "record 0 (line 1)",
       "has a column \"size\""},
      {DumpFormat::kCsv, "key,expires_ms\n", "record 0 (line 1)",
       "must be a header"},
      {DumpFormat::kCsv, "key,value,key\n", "record 0 (line 1)",
       "a column twice: key"},
      {DumpFormat::kCsv, "key,value,expires_ms\na,b,soon\n",
       "record 1 (line 2)", "expires_ms is \"soon\""},
      {DumpFormat::kCsv, "key,value,value_b64\na,b,Yg==\n", "record 1 (line 2)",
       "both value and value_b64"},
      {DumpFormat::kCsv, "key,value_b64\na,?\n", "record 1 (line 2)",
       "value_b64 is no base64"},
      {DumpFormat::kResp, "SET a b\r\nDEL a\r\n", "record 2 (byte 10)",
       "\"DEL\" is no record"},
      {DumpFormat::kResp, "SET a\r\n", "record 1 (byte 1)",
       "takes a key and a value"},
      {DumpFormat::kResp, "SET a b EX 5\r\n", "record 1 (byte 1)",
       "\"EX\" behind SET's value"},
      {DumpFormat::kResp, "SET a b PXAT x\r\n", "record 1 (byte 1)",
       "no Unix time"},
      {DumpFormat::kResp, "SET a b EXAT 9223372036854775807\r\n",
       "record 1 (byte 1)", "no Unix time"},
      {DumpFormat::kResp, "SELECT x\r\n", "record 0 (byte 1)",
       "a database's number"},
      {DumpFormat::kResp, "SET a b\r\n*3\r\n$3\r\nSET\r\n$1\r\n",
       "record 2 (byte 10)", "ends within a command"},
      {DumpFormat::kResp, "*3\r\n$3\r\nSETx\r\n", "record 1 (byte 1)",
       "Protocol error"},
  };
  for (const Case& test : cases) {
    for (const size_t piece : {size_t{1}, size_t{1000}}) {
      SCOPED_TRACE(Quote(test.text));
      const Decoded decoded = Decode(test.format, test.text, piece);
      EXPECT_THAT(decoded.error, HasSubstr(test.error));
      EXPECT_EQ(Describe(decoded.place), test.place);
    }
  }
}

TEST(Codec, TellsFormatsApart) {
  EXPECT_EQ(FormatByContent("\n{\"key\""), DumpFormat::kJson);
  EXPECT_EQ(FormatByContent("*3\r\n"), DumpFormat::kResp);
  EXPECT_EQ(FormatByContent("SET a b,c\r\n"), DumpFormat::kResp);
  EXPECT_EQ(FormatByContent("key,value\n"), DumpFormat::kCsv);
  EXPECT_EQ(FormatByContent("hello\n"), std::nullopt);
  EXPECT_EQ(FormatByContent(""), std::nullopt);
  EXPECT_EQ(FormatByFileName("a.csv.zst"), DumpFormat::kCsv);
  EXPECT_EQ(FormatByFileName("a.resp"), DumpFormat::kResp);
  EXPECT_EQ(FormatByFileName("a"), std::nullopt);
  EXPECT_EQ(FormatByName("xml").error().code, ExitCode::kUsage);
}

TEST(Base64, IsReadAsItIsWritten) {
  std::mt19937 random(11);
  for (int i = 0; i < 1000; ++i) {
    const std::string bytes = RandomBytes(random);
    EXPECT_EQ(FromBase64(Base64(bytes)), bytes);
  }
  for (const char* text : {"a", "ab", "abc", "=", "====", "a===", "ab=c",
                           "ab==cd==", "ab-_", "ab\n=", "QQ=A", "QR=="}) {
    EXPECT_EQ(FromBase64(text), std::nullopt) << text;
  }
}

std::string Unpack(std::string_view input, std::string* error) {
  Decompressor decompressor;
  std::string out;
  while (true) {
    const size_t left = input.size();
    const size_t size = out.size();
    if (!decompressor.Next(&input, &out)) {
      *error = decompressor.error();
      return out;
    }
    if (left == input.size() && size == out.size()) break;
  }
  if (!decompressor.at_frame_end()) *error = "cut off";
  return out;
}

TEST(Compression, GivesFramesBackOrSaysThatTheyAreNotWhole) {
  std::mt19937 random(5);
  Compressor compressor;
  std::string text;
  std::string packed;
  for (int i = 0; i < 3; ++i) {
    std::string part(300'000, 'x');
    for (char& c : part) c = static_cast<char>(random() % 8);
    text += part;
    compressor.Append(part, &packed);
    compressor.EndFrame(&packed);
  }
  EXPECT_TRUE(IsCompressed(packed));
  EXPECT_LT(packed.size(), text.size() / 2);
  std::string error;
  EXPECT_EQ(Unpack(packed, &error), text);
  EXPECT_EQ(error, "");

  Unpack(std::string_view(packed).substr(0, packed.size() - 1), &error);
  EXPECT_EQ(error, "cut off");
  packed[packed.size() / 2] ^= 1;
  error.clear();
  Unpack(packed, &error);
  EXPECT_NE(error, "");
}

}  // namespace
}  // namespace kvctl
