// SPDX-License-Identifier: MIT
//
// The formats of dumps, by name and by their first bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/failure.h"
#include "cli/records/codec.h"

namespace kvctl {

enum class DumpFormat { kJson, kCsv, kResp };

std::string_view NameOf(DumpFormat format);
// "json", "csv" or "resp"; other names are a usage fault.
Attempt<DumpFormat> FormatByName(std::string_view name);

// As the name ends: ".json", ".jsonl", ".csv" or ".resp", with or without
// ".zst" behind it; nothing for other names.
std::optional<DumpFormat> FormatByFileName(std::string_view name);

// Of a dump that begins so; nothing for what can be none. Spaces and line ends
// before the first byte do not matter.
std::optional<DumpFormat> FormatByContent(std::string_view begin);

std::unique_ptr<RecordDecoder> MakeDecoder(DumpFormat format);
std::unique_ptr<RecordEncoder> MakeEncoder(DumpFormat format,
                                           const EncodeOptions& options);

}  // namespace kvctl
