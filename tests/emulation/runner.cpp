// A process that owns "device" memory and runs kernels on it, by requests on standard input. tests/emulation/stream.py
// is the other end. A request: operation (1 byte), length of the payload (8), payload; the answer: 0 or 1 for an error
// (1 byte), length (8), payload or text. Everything in the byte order of the machine. Not for: running them
// (block.cpp).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "block.hpp"
#include "kernel.hpp"
#include "sites.hpp"

namespace cathrt::emulation {

Kernel*& all_kernels() {
    static Kernel* first = nullptr;
    return first;
}

namespace {

struct Freed {
    void operator()(void* memory) const { std::free(memory); }
};

// By address. Each is of exactly the size asked for, so that AddressSanitizer sees a step of one byte beyond it.
std::map<std::uint64_t, std::pair<std::unique_ptr<void, Freed>, std::uint64_t>> allocations;

// Takes values off the front of a request.
class Payload {
  public:
    explicit Payload(std::string_view bytes) : bytes_(bytes) {}

    template <class T>
    T take() {
        T value;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }

    std::string_view take(std::size_t count) {
        if (count > bytes_.size()) throw Error("request cut short");
        const std::string_view front = bytes_.substr(0, count);
        bytes_.remove_prefix(count);
        return front;
    }

    std::string_view rest() const { return bytes_; }

  private:
    std::string_view bytes_;
};

template <class T>
std::string bytes_of(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::uint64_t allocate(std::uint64_t bytes) {
    void* memory = nullptr;
    if (bytes == 0) throw Error("0 bytes asked for: the driver allocates at least 1");
    if (posix_memalign(&memory, 256, bytes) != 0) throw Error("no memory for " + std::to_string(bytes) + " bytes");
    std::memset(memory, 0xCD, bytes);
    const auto address = reinterpret_cast<std::uint64_t>(memory);
    allocations[address] = {std::unique_ptr<void, Freed>(memory), bytes};
    return address;
}

// Memory that lies within one allocation.
char* owned(std::uint64_t address, std::uint64_t bytes) {
    auto after = allocations.upper_bound(address);
    if (after != allocations.begin()) {
        const auto& [begin, allocation] = *std::prev(after);
        if (address - begin <= allocation.second && bytes <= allocation.second - (address - begin)) {
            return reinterpret_cast<char*>(address);
        }
    }
    throw Error(std::to_string(bytes) + " bytes at " + std::to_string(address) + " lie in nothing that was allocated");
}

const char* type_name(std::uint8_t type) {
    static constexpr const char* names[] = {"DeviceMemory", "int32", "uint32", "int64", "uint64", "float32", "float64"};
    return type < std::size(names) ? names[type] : "unknown";
}

template <class Types>
std::string type_names(const Types& types, std::size_t count) {
    std::string names = "(";
    for (std::size_t i = 0; i < count; ++i)
        names += (i == 0 ? "" : ", ") + std::string(type_name(static_cast<std::uint8_t>(types[i])));
    return names + ")";
}

const Kernel& kernel_named(std::string_view name) {
    std::string known;
    for (const Kernel* kernel = all_kernels(); kernel != nullptr; kernel = kernel->next) {
        if (name == kernel->name) return *kernel;
        known += std::string(" ") + kernel->name;
    }
    throw Error("no kernel " + std::string(name) + "; there are:" + known);
}

void launch_from(Payload payload) {
    const Kernel& kernel = kernel_named(payload.take(payload.take<std::uint16_t>()));
    Shape shape{payload.take<uint3>(), payload.take<uint3>(), payload.take<std::uint64_t>()};
    const auto count = payload.take<std::uint16_t>();
    std::vector<std::uint8_t> types(count);
    std::vector<std::uint64_t> arguments(count);
    for (std::size_t i = 0; i < count; ++i) {
        types[i] = payload.take<std::uint8_t>();
        arguments[i] = payload.take<std::uint64_t>();
    }
    bool fits = count == kernel.argument_count;
    for (std::size_t i = 0; fits && i < count; ++i) fits = types[i] == static_cast<std::uint8_t>(kernel.arguments[i]);
    if (!fits) {
        throw Error(std::string(kernel.name) + ": found arguments " + type_names(types, count) + ", expected " +
                    type_names(kernel.arguments, kernel.argument_count));
    }
    launch(kernel, shape, arguments.data());
}

std::string sites_text() {
    std::map<std::string, unsigned long long> executed;  // instantiations of a template are one place in the source
    for (const Site* site = all_sites(); site != nullptr; site = site->next) executed[name_of(*site)] += site->executed;
    std::string text;
    for (const auto& [name, count] : executed) text += name + " " + std::to_string(count) + "\n";
    return text;
}

std::string answer(char operation, Payload payload) {
    switch (operation) {
        case 'a':
            return bytes_of(allocate(payload.take<std::uint64_t>()));
        case 'w': {
            const auto address = payload.take<std::uint64_t>();
            const std::string_view data = payload.rest();
            std::memcpy(owned(address, data.size()), data.data(), data.size());
            return {};
        }
        case 'r': {
            const auto address = payload.take<std::uint64_t>(), bytes = payload.take<std::uint64_t>();
            return std::string(owned(address, bytes), bytes);
        }
        case 'z': {
            const auto address = payload.take<std::uint64_t>(), bytes = payload.take<std::uint64_t>();
            std::memset(owned(address, bytes), 0, bytes);
            return {};
        }
        case 'f':
            allocations.clear();
            return {};
        case 'l':
            launch_from(payload);
            return {};
        case 'm':
            mutate(std::string(payload.rest()));
            return {};
        case 's':
            return sites_text();
        case 'n':
            set_seed(payload.take<std::uint32_t>());
            return {};
        default:
            throw Error("no operation " + std::to_string(operation));
    }
}

bool read_all(void* to, std::size_t bytes) {
    for (auto* at = static_cast<char*>(to); bytes > 0;) {
        const ssize_t got = read(STDIN_FILENO, at, bytes);
        if (got <= 0) return false;
        at += got;
        bytes -= static_cast<std::size_t>(got);
    }
    return true;
}

bool write_all(const char* from, std::size_t bytes) {
    while (bytes > 0) {
        const ssize_t put = write(STDOUT_FILENO, from, bytes);
        if (put <= 0) return false;
        from += put;
        bytes -= static_cast<std::size_t>(put);
    }
    return true;
}

// Until the other end closes.
void serve() {
    std::string request, reply;
    for (;;) {
        char operation = 0;
        std::uint64_t length = 0;
        if (!read_all(&operation, 1) || !read_all(&length, sizeof length)) return;
        request.resize(length);
        if (!read_all(request.data(), length)) return;
        char failed = 0;
        try {
            reply = answer(operation, Payload(request));
        } catch (const Error& error) {
            reply = error.what();
            failed = 1;
        }
        length = reply.size();
        const std::string head = failed + bytes_of(length);
        if (!write_all(head.data(), head.size()) || !write_all(reply.data(), reply.size())) return;
    }
}

}  // namespace
}  // namespace cathrt::emulation

int main() {
    cathrt::emulation::serve();
    return 0;
}
