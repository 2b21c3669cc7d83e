// SPDX-License-Identifier: MIT
#include "config/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <optional>

#include "base/check.h"
#include "config/settings.h"
#include "config/units.h"

namespace kvd {
namespace {

// Far beyond any real file: what is longer is not a configuration. It also
// keeps the nesting that a hostile file can reach ("a.a.a.…") within what
// toml++'s recursive destructors have stack for.
constexpr size_t kFileBytesMax = size_t{32} << 10;

struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const Place&) const = default;
};

struct Fault {
  Place place;
  std::string what;
};

// Two settings that do not go together, and why.
struct Discord {
  std::string_view one;
  std::string_view other;
  std::string what;
};

// Two sizes of which the first must hold the second and a command's overhead.
struct Relation {
  std::string_view holder;
  uint64_t holder_bytes;
  std::string_view held;
  uint64_t held_bytes;
};

std::string Describe(const Relation& relation) {
  return fmt::format(
      "{} ({}) must hold {} ({}) and {} for the rest of a command",
      relation.holder, FormatSize(relation.holder_bytes), relation.held,
      FormatSize(relation.held_bytes), FormatSize(kCommandOverheadBytes));
}

std::optional<Discord> DiscordOfSizes(const Config& config) {
  const Config::Limits& limits = config.limits;
  const Relation relations[] = {{"limits.input_bytes", limits.input_bytes,
                                 "limits.value_size", limits.value_bytes},
                                {"limits.output_bytes", limits.output_bytes,
                                 "limits.value_size", limits.value_bytes}};
  for (const Relation& relation : relations) {
    if (relation.holder_bytes < relation.held_bytes + kCommandOverheadBytes) {
      return Discord{relation.holder, relation.held, Describe(relation)};
    }
  }
  return std::nullopt;
}

std::optional<Discord> DiscordOfCertificates(const Config::Etcd& etcd) {
  constexpr std::string_view kCert = "etcd.cert_file";
  constexpr std::string_view kKey = "etcd.key_file";
  if (etcd.cert_file.empty() != etcd.key_file.empty()) {
    return Discord{
        kCert, kKey,
        fmt::format("{} and {} go together: what kvd shows to etcd, "
                    "and the private key of it; {} is missing",
                    kCert, kKey, etcd.cert_file.empty() ? kCert : kKey)};
  }
  const std::string_view given = !etcd.ca_file.empty()     ? "etcd.ca_file"
                                 : !etcd.cert_file.empty() ? kCert
                                                           : "";
  if (given.empty()) return std::nullopt;
  for (const std::string& endpoint : SplitList(etcd.endpoints)) {
    if (IsHttps(endpoint)) continue;
    return Discord{"etcd.endpoints", given,
                   fmt::format("{} is for https, and the endpoint {} is not "
                               "encrypted; write https://, or leave the file "
                               "out",
                               given, endpoint)};
  }
  return std::nullopt;
}

std::optional<Discord> FindDiscord(const Config& config) {
  if (auto found = DiscordOfSizes(config)) return found;
  return DiscordOfCertificates(config.etcd);
}

std::string UnknownName(std::string_view name) {
  const std::string_view nearest = NearestSetting(name);
  if (nearest.empty()) return fmt::format("unknown key \"{}\"", name);
  return fmt::format("unknown key \"{}\"; did you mean \"{}\"?", name, nearest);
}

Place PlaceOf(const toml::source_region& region) {
  return {static_cast<uint32_t>(region.begin.line),
          static_cast<uint32_t>(region.begin.column)};
}

// Turns a parsed file into settings; collects faults instead of stopping at the
// first one, so that a person corrects a file once.
class Reader {
 public:
  explicit Reader(Config* config) : config_(config) {}

  // `prefix` is the dotted name of `table`; empty for the file itself.
  void ReadTable(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix.empty()
                                   ? std::string(key.str())
                                   : fmt::format("{}.{}", prefix, key.str());
      const Place place = PlaceOf(key.source());
      places_[name] = place;
      if (const Setting* setting = FindSetting(name)) {
        ReadSetting(*setting, node, place);
      } else if (IsSection(name)) {
        ReadSection(name, node, place);
      } else {
        ReadUnknown(name, node, place);
      }
    }
  }

  void AddFault(Place place, std::string what) {
    faults_.push_back({place, std::move(what)});
  }

  // Where the file sets `name`; the start of the file if it does not.
  Place PlaceOfName(std::string_view name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? Place{1, 1} : found->second;
  }

  // All faults in the order of the file, one per line; empty when there are
  // none.
  std::string TakeFaults(const std::string& file) {
    std::ranges::stable_sort(faults_, {}, &Fault::place);
    std::string out;
    for (const Fault& fault : faults_) {
      if (!out.empty()) out += '\n';
      out += fmt::format("{}:{}:{}: {}", file, fault.place.line,
                         fault.place.column, fault.what);
    }
    return out;
  }

 private:
  static bool IsList(const Setting& setting) {
    const auto* kind = std::get_if<TextKind>(&setting.kind);
    return kind != nullptr && kind->is_list;
  }

  // Nothing if it has anything but strings.
  static std::optional<std::string> Joined(const toml::array& array) {
    std::string joined;
    for (size_t i = 0; i < array.size(); ++i) {
      const auto text = array[i].value_exact<std::string>();
      if (!text) return std::nullopt;
      if (i > 0) joined += ',';
      joined += *text;
    }
    return joined;
  }

  void ReadSetting(const Setting& setting, const toml::node& node,
                   Place place) {
    std::optional<std::string> text;
    const TomlType type = TypeOf(setting);
    if (const toml::array* array = node.as_array(); array && IsList(setting)) {
      text = Joined(*array);
    } else if (type == TomlType::kString) {
      text = node.value_exact<std::string>();
    } else if (type == TomlType::kBoolean) {
      if (const auto flag = node.value_exact<bool>()) {
        text = *flag ? "true" : "false";
      }
    } else if (const auto number = node.value_exact<int64_t>()) {
      text = fmt::format("{}", *number);
    } else if (const auto real = node.value_exact<double>();
               real && type == TomlType::kFloat) {
      text = fmt::format("{}", *real);
    }
    if (!text) {
      AddFault(place,
               fmt::format("{} must be {}", setting.name, ExampleOf(setting)));
      return;
    }
    if (auto set = SetFromText(setting, *text, config_); !set) {
      AddFault(PlaceOf(node.source()),
               fmt::format("{}: {}", setting.name, set.error().message()));
    }
  }

  void ReadSection(const std::string& name, const toml::node& node,
                   Place place) {
    if (const toml::table* table = node.as_table()) {
      ReadTable(*table, name);
    } else {
      AddFault(place, fmt::format("\"{0}\" is a section; write [{0}] on a "
                                  "line of its own and its keys below",
                                  name));
    }
  }

  void ReadUnknown(const std::string& name, const toml::node& node,
                   Place place) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      AddFault(place, UnknownName(name));
    } else if (table->empty() || name.find('.') != name.npos) {
      AddFault(place, fmt::format("unknown section \"{}\"", name));
    } else {
      // Its keys tell better than its name what was meant, so they are
      // reported. No section of ours has sections, so this goes no deeper than
      // one level.
      ReadTable(*table, name);
    }
  }

  Config* config_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<Fault> faults_;
};

// toml++ throws; its exceptions are caught here.
std::optional<toml::table> ParseToml(std::string_view text, Reader* reader) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    reader->AddFault(PlaceOf(error.source()), std::string(error.description()));
  } catch (const std::exception& error) {
    reader->AddFault({1, 1}, error.what());
  }
  return std::nullopt;
}

std::optional<Error> TooLarge(size_t size, const std::string& file) {
  if (size <= kFileBytesMax) return std::nullopt;
  return Error(ErrorCode::kInvalid,
               fmt::format("{}: larger than {}; this is not a configuration "
                           "file",
                           file, FormatSize(kFileBytesMax)));
}

}  // namespace

uint64_t MemoryAmount::Resolve(uint64_t total) const {
  // In an order that does not overflow.
  return bytes + total / 100 * percent + total % 100 * percent / 100;
}

Result<std::string> ReadConfigFile(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A directory opens but does not read.
  if (!stream.is_open() || stream.bad()) {
    return Unexpected(Error::FromErrno(errno == 0 ? EIO : errno, path));
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

Result<Config> LoadConfig(const std::string& path,
                          const std::vector<std::string>& overrides) {
  std::string text;
  if (!path.empty()) {
    KVD_TRY_ASSIGN(text, ReadConfigFile(path));
  }
  return ParseConfig(text, path, overrides);
}

Result<Config> ParseConfig(std::string_view text, const std::string& file,
                           const std::vector<std::string>& overrides) {
  if (auto error = TooLarge(text.size(), file)) {
    return Unexpected(*std::move(error));
  }
  Config config;
  Reader reader(&config);
  if (const auto table = ParseToml(text, &reader)) {
    reader.ReadTable(*table, "");
  }
  if (std::string faults = reader.TakeFaults(file); !faults.empty()) {
    return Unexpected(Error(ErrorCode::kInvalid, std::move(faults)));
  }
  for (const std::string& assignment : overrides) {
    KVD_TRY(ApplyOverride(&config, assignment));
  }
  const auto discord = FindDiscord(config);
  if (!discord) return config;
  if (!overrides.empty()) {
    return Unexpected(Error(ErrorCode::kInvalid, discord->what));
  }
  const Place place = std::max(reader.PlaceOfName(discord->one),
                               reader.PlaceOfName(discord->other));
  return Fail(ErrorCode::kInvalid, "{}:{}:{}: {}", file, place.line,
              place.column, discord->what);
}

Result<void> ApplyOverride(Config* config, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos) {
    return Fail(ErrorCode::kInvalid, "--set {}: must be NAME=VALUE, such as {}",
                assignment, "durability.sync=always");
  }
  const std::string_view name = assignment.substr(0, equals);
  const Setting* setting = FindSetting(name);
  if (setting == nullptr) {
    return Fail(ErrorCode::kInvalid, "--set {}: {}", assignment,
                UnknownName(name));
  }
  if (auto set = SetFromText(*setting, assignment.substr(equals + 1), config);
      !set) {
    return Fail(ErrorCode::kInvalid, "--set {}: {}", assignment,
                set.error().message());
  }
  return {};
}

Changeable WhenChangeable(std::string_view name) {
  const Setting* setting = FindSetting(name);
  if (setting == nullptr) return Changeable::kUnknown;
  return setting->at_run_time ? Changeable::kAtRunTime : Changeable::kAtStart;
}

Result<void> SetSetting(Config* config, std::string_view name,
                        std::string_view value) {
  const Setting* setting = FindSetting(name);
  if (setting == nullptr) {
    return Fail(ErrorCode::kInvalid, "{}", UnknownName(name));
  }
  return SetFromText(*setting, value, config);
}

std::string GetSetting(const Config& config, std::string_view name) {
  const Setting* setting = FindSetting(name);
  KVD_CHECK(setting != nullptr);
  return GetAsText(*setting, config);
}

Result<void> CheckRelations(const Config& config) {
  if (const auto discord = FindDiscord(config)) {
    return Unexpected(Error(ErrorCode::kInvalid, discord->what));
  }
  if (config.storage.backend == kEtcdBackend &&
      config.limits.value_bytes > kEtcdValueBytesMax) {
    return Fail(ErrorCode::kInvalid,
                "limits.value_size is at most {} where the data is in etcd",
                FormatSize(kEtcdValueBytesMax));
  }
  return {};
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == text.npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

bool IsHttps(std::string_view endpoint) {
  return endpoint.starts_with("https://");
}

std::vector<std::pair<std::string, std::string>> DescribeSettings(
    const Config& config) {
  std::vector<std::pair<std::string, std::string>> described;
  for (const Setting& setting : AllSettings()) {
    described.emplace_back(setting.name, GetAsText(setting, config));
  }
  return described;
}

}  // namespace kvd
