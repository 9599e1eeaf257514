// SPDX-License-Identifier: MIT
//
// Three layers of a small transformer on host arrays, each with its own pattern, through tulle.hpp. Each layer's plan is made
// once; the layers share Q, K and V's memory, [length][heads][dim] as projections write it. The result is compared with a plain
// loop in double precision.
#include <tulle/tulle.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

namespace {

constexpr uint32_t heads = 4, kv_heads = 2, length = 160, dim = 32;
constexpr const char *specs[] = {
    "window:31,0+sink:4",                 // a sliding window, and four keys that all see
    "window:15,0;strided:16+window:3,0",  // heads in turn: near ones, and every 16th
    "dense",
};

/// One pattern for each layer; its plan.
struct layer {
    tulle::patterns patterns;
    tulle::plan plan;
};

layer make_layer(const tulle::context &context, const char *spec) {
    layer made;
    made.patterns = tulle::patterns::parse(spec);
    tulle_attention_desc desc{};
    desc.heads = heads;
    desc.kv_heads = kv_heads;
    desc.q_len = desc.kv_len = length;
    desc.head_dim = dim;
    desc.causal = true;
    desc.buffer_usage = TULLE_USAGE_HOST;
    made.plan = tulle::plan::create(context, desc, made.patterns);
    return made;
}

/// [length][of][dim] numbers between −1 and 1.
std::vector<float> numbers(uint32_t of, uint32_t seed) {
    std::vector<float> made(size_t(length) * of * dim);
    for (size_t i = 0; i < made.size(); i++)
        made[i] = std::sin(static_cast<float>(seed) + 12.9898f * static_cast<float>(i % 8191));
    return made;
}

/// What the layer should give, by the pattern's own word for each pair.
std::vector<float> reference(const tulle::patterns &patterns, const std::vector<float> &q,
                             const std::vector<float> &k, const std::vector<float> &v) {
    std::vector<float> o(q.size());
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t i = 0; i < length; i++) {
            tulle_pattern_site site{};
            site.head = h;
            site.heads = heads;
            site.kv_heads = kv_heads;
            site.kv_len = length;
            site.causal = true;
            const uint32_t kv = h * kv_heads / heads;
            double sums[dim] = {}, total = 0;
            for (uint32_t j = 0; j < length; j++) {
                if (!tulle_pattern_selects(patterns[h % patterns.size()], &site, i, j)) continue;
                double dot = 0;
                for (uint32_t d = 0; d < dim; d++)
                    dot += double(q[(i * heads + h) * dim + d]) * k[(j * kv_heads + kv) * dim + d];
                const double weight = std::exp(dot / std::sqrt(double(dim)));
                total += weight;
                for (uint32_t d = 0; d < dim; d++)
                    sums[d] += weight * v[(j * kv_heads + kv) * dim + d];
            }
            for (uint32_t d = 0; d < dim; d++)
                o[(i * heads + h) * dim + d] = static_cast<float>(sums[d] / total);
        }
    return o;
}

void run() {
    const tulle::context context = tulle::context::create();
    std::printf("on %s\n", context.info().name);
    std::vector<layer> layers;
    for (const char *spec : specs) layers.push_back(make_layer(context, spec));

    std::vector<float> q = numbers(heads, 1);
    const std::vector<float> k = numbers(kv_heads, 2), v = numbers(kv_heads, 3);
    std::vector<float> o(q.size());
    tulle::host_arrays arrays;
    arrays.q = q;
    arrays.k = k;
    arrays.v = v;
    arrays.o = o;
    arrays.q_strides = arrays.o_strides = { 0, dim, heads * dim };  // batch, head, row
    arrays.k_strides = arrays.v_strides = { 0, dim, kv_heads * dim };
    for (const layer &l : layers) {
        l.plan.attention(arrays);
        const std::vector<float> expected = reference(l.patterns, q, k, v);
        float worst = 0;
        for (size_t i = 0; i < o.size(); i++)
            worst = std::max(worst, std::fabs(o[i] - expected[i]));
        std::printf("%-36s %-22s %8llu pairs, worst difference %.1e\n",
                    l.patterns.to_string().c_str(), l.plan.info().kernel,
                    static_cast<unsigned long long>(l.plan.count_pairs()), double(worst));
        if (!(worst < 1e-4f)) throw std::runtime_error("the result is wrong");
        for (size_t i = 0; i < q.size(); i++) q[i] += o[i];  // the next layer's input
    }
}

}  // namespace

int main() try { run(); } catch (const tulle::exception &failure) {
    if (failure.result() == TULLE_ERROR_NO_DEVICE || failure.result() == TULLE_ERROR_NO_VULKAN) {
        std::printf("skip: %s\n", failure.what());
        return 77;
    }
    std::fprintf(stderr, "%s: %s\n", tulle_result_name(failure.result()), failure.what());
    return 1;
} catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
