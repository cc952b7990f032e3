// The C functions that Python calls.
#include "network.h"
#include "weight_update.h"

extern "C" {

// The fastest products in bfloat16 that this machine has, or FLOAT32.
int32_t mnist_lite_bfloat16_products() { return bfloat16_products(); }

// The fastest products in float32 that this machine has.
int32_t mnist_lite_float32_products() { return float32_products(); }

// products: how convolutions multiply. Null: out of memory or of threads.
Network* mnist_lite_new(const Op* ops, int count, int threads, int32_t products) {
    try {
        return new Network(ops, count, threads, (Products)products);
    } catch (...) {
        return nullptr;
    }
}

void mnist_lite_delete(Network* network) { delete network; }

// A training step, or an evaluation if gradients is null. Returns 0, or 1 if there is not enough memory.
// logits: null, or where an evaluation writes them, 10 for each image.
// results: the sum of the losses, the number of right answers, and whether loss and gradients are finite (1 or 0).
int mnist_lite_run(Network* network, const Images* images, const int64_t* labels, int count, float* const* tensors,
                   float* const* gradients, uint64_t key, float smoothing, float* logits, double* results) {
    try {
        network->logits = logits;
        network->images = *images, network->labels = labels, network->tensors = tensors, network->gradients = gradients;
        network->key = key, network->smoothing = smoothing;
        network->prepare(count, gradients ? (count + LANES - 1) / LANES : network->pool.size());
        gradients ? network->train() : network->evaluate();
    } catch (const std::bad_alloc&) {
        return 1;
    }
    results[0] = results[1] = 0;
    for (const Loss& loss : network->losses) results[0] += loss.sum, results[1] += loss.correct;
    results[2] = std::isfinite(results[0]) && network->finite;
    return 0;
}

// Updates the weights from their gradients.
void mnist_lite_update(Network* network, const UpdateSettings* settings, const ParameterGroup* groups, const Parameter* parameters,
                       int count, const AveragedBuffer* buffers, int buffer_count) {
    update_weights(network->pool, *settings, groups, parameters, count, buffers, buffer_count);
}
}
