// SPDX-License-Identifier: MIT
#include "cli/records/dump_format.h"

#include "cli/records/csv.h"
#include "cli/records/json_lines.h"
#include "cli/records/resp_stream.h"
#include "cli/text.h"

namespace kvctl {

std::string_view NameOf(DumpFormat format) {
  switch (format) {
    case DumpFormat::kJson:
      return "json";
    case DumpFormat::kCsv:
      return "csv";
    case DumpFormat::kResp:
      break;
  }
  return "resp";
}

Attempt<DumpFormat> FormatByName(std::string_view name) {
  for (const DumpFormat format :
       {DumpFormat::kJson, DumpFormat::kCsv, DumpFormat::kResp}) {
    if (name == NameOf(format)) return format;
  }
  return Refuse(ExitCode::kUsage, "--format: {} is none of json, csv, resp",
                Quote(name));
}

std::optional<DumpFormat> FormatByFileName(std::string_view name) {
  if (name.ends_with(".zst")) name.remove_suffix(4);
  if (name.ends_with(".json") || name.ends_with(".jsonl")) {
    return DumpFormat::kJson;
  }
  if (name.ends_with(".csv")) return DumpFormat::kCsv;
  if (name.ends_with(".resp")) return DumpFormat::kResp;
  return {};
}

std::optional<DumpFormat> FormatByContent(std::string_view begin) {
  const size_t first = begin.find_first_not_of(" \t\r\n");
  if (first == begin.npos) return {};
  begin.remove_prefix(first);
  if (begin.front() == '{') return DumpFormat::kJson;
  if (begin.front() == '*') return DumpFormat::kResp;
  // RESP may be commands as typed; the first line of CSV names its columns.
  const std::string_view line = begin.substr(0, begin.find_first_of("\r\n"));
  for (const std::string_view word : {"SET ", "set ", "SELECT ", "select "}) {
    if (line.starts_with(word)) return DumpFormat::kResp;
  }
  if (line.find(',') != line.npos) return DumpFormat::kCsv;
  return {};
}

std::unique_ptr<RecordDecoder> MakeDecoder(DumpFormat format) {
  switch (format) {
    case DumpFormat::kJson:
      return std::make_unique<JsonLinesDecoder>();
    case DumpFormat::kCsv:
      return std::make_unique<CsvDecoder>();
    case DumpFormat::kResp:
      break;
  }
  return std::make_unique<RespStreamDecoder>();
}

std::unique_ptr<RecordEncoder> MakeEncoder(DumpFormat format,
                                           const EncodeOptions& options) {
  switch (format) {
    case DumpFormat::kJson:
      return std::make_unique<JsonLinesEncoder>(options);
    case DumpFormat::kCsv:
      return std::make_unique<CsvEncoder>(options);
    case DumpFormat::kResp:
      break;
  }
  return std::make_unique<RespStreamEncoder>(options);
}

}  // namespace kvctl
