// Runs the kernels without Python, so that the sanitizers of the compiler see every access: a network with every kind of
// operation, batches of several sizes, training, updates of the weights and evaluation, images as floats and as pixels, on
// several threads. With all products that this processor has.
#include <cstdio>
#include <random>

#include "network.cpp"

namespace {

struct Builder {
    std::vector<Op> ops;
    std::vector<std::vector<float>> tensors, gradients;
    int channels = 1, height = 28, width = 28;
    std::mt19937 random{0};

    int tensor(long size, float low, float high) {
        std::uniform_real_distribution<float> draw(low, high);
        tensors.emplace_back(size);
        for (float& value : tensors.back()) value = draw(random);
        gradients.emplace_back(size);
        return (int)tensors.size() - 1;
    }
    Op& add(Kind kind, int out_channels, int out_height, int out_width) {
        Op op{};
        op.kind = kind;
        op.channels = channels, op.height = height, op.width = width;
        op.out_channels = channels = out_channels, op.out_height = height = out_height, op.out_width = width = out_width;
        op.kernel = op.stride = op.dilation = op.groups = 1;
        op.weight = op.bias = op.running_mean = op.running_var = op.num_batches_tracked = op.alphas = -1;
        ops.push_back(op);
        return ops.back();
    }
    void conv(int out, int kernel, int stride, int padding, int dilation, int groups, bool bias, bool relu) {
        const auto side = [&](int length) { return (length + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; };
        const int inputs = channels / groups;
        Op& op = add(CONVOLUTION, out, side(height), side(width));
        op.kernel = kernel, op.stride = stride, op.padding = padding, op.dilation = dilation, op.groups = groups;
        op.activation = relu ? LEAKY_RELU : NO_ACTIVATION;
        op.weight = tensor((long)out * inputs * kernel * kernel, -0.3f, 0.3f);
        if (bias) op.bias = tensor(out, -0.1f, 0.1f);
    }
    // groups: with batch norm the number of images of a ghost (0: the whole batch), with group norm the number of groups of channels
    void pointwise(Norm norm, int groups, Activation activation, float alpha, Dropout dropout) {
        Op& op = add(POINTWISE, channels, height, width);
        op.norm = norm, op.activation = activation, op.alpha = alpha, op.dropout = dropout, op.p = 0.3f;
        op.eps = 1e-5f, op.momentum = 0.1f;
        if (activation == PRELU) op.alphas = tensor(channels, -0.3f, 0.3f);
        (norm == GROUP_NORM ? op.groups : op.ghost_size) = groups;
        if (norm == NO_NORM) return;
        op.weight = tensor(channels, 0.5f, 1.5f), op.bias = tensor(channels, -0.1f, 0.1f);
        if (norm == GROUP_NORM) return;
        op.running_mean = tensor(channels, -0.1f, 0.1f), op.running_var = tensor(channels, 0.5f, 1.5f);
        op.num_batches_tracked = tensor(2, 0, 0);  // an int64
    }
    void on_saved(Kind kind, int saved, int out_channels, int out_height) { add(kind, out_channels, out_height, out_height).saved = saved; }
    void pool(Kind kind, int kernel, int stride, int padding) {
        const auto side = [&](int length) { return (length + 2 * padding - kernel) / stride + 1; };
        Op& op = add(kind, channels, side(height), side(width));
        op.kernel = kernel, op.stride = stride, op.padding = padding;
    }
};

std::vector<float*> addresses(std::vector<std::vector<float>>& tensors) {
    std::vector<float*> result;
    for (auto& tensor : tensors) result.push_back(tensor.data());
    return result;
}

// Updates with each optimizer: of all tensors, and of one that is large enough for several threads.
void update_weights(Network* network, Builder& b) {
    b.tensor(60'000, -1, 1);
    std::vector<std::vector<float>> means = b.tensors, squares = b.gradients, averages = b.tensors;
    std::vector<float> steps(b.tensors.size());
    std::vector<Parameter> parameters;
    for (size_t i = 0; i < b.tensors.size(); i++)
        parameters.push_back({b.tensors[i].data(), b.gradients[i].data(), means[i].data(), squares[i].data(), &steps[i],
                              averages[i].data(), (int64_t)b.tensors[i].size(), (int32_t)(i % 2)});
    const int64_t count = 7;
    int64_t average_count = 1;
    const float mean[2] = {1, 2};
    float average_mean[2] = {};
    const AveragedBuffer buffers[] = {{&count, &average_count, 1, 1}, {mean, average_mean, 2, 0}};
    const UpdateSettings settings{0.01, 1, 0.9};
    for (Rule rule : {SGD, ADAM, RMSPROP}) {
        const ParameterGroup groups[] = {{rule, 1, 0, 0, 0.1, 0.1, 0.9, 0.1, 0.9, 0.99, 1e-8},
                                         {rule, 0, 1, 1, 0.1, 0.1, 0.9, 0, 0.9, 0.99, 1e-8}};
        mnist_lite_update(network, &settings, groups, parameters.data(), (int)parameters.size(), buffers, 2);
    }
}

}  // namespace

int main() {
    Builder b;
    b.conv(7, 3, 1, 1, 1, 1, true, true);
    b.pointwise(BATCH_NORM, 0, NO_ACTIVATION, 0, NO_DROPOUT);
    b.pool(MAX_POOL, 2, 2, 0);
    b.conv(13, 3, 1, 0, 2, 1, false, false);
    b.pointwise(BATCH_NORM, 0, LEAKY_RELU, 0, DROP_VALUES);
    b.conv(13, 3, 1, 1, 1, 13, false, false);
    b.pointwise(NO_NORM, 0, LEAKY_RELU, 0.1f, DROP_CHANNELS);
    b.conv(12, 1, 1, 0, 1, 1, true, false);
    b.on_saved(SAVE, 0, 12, b.height);
    b.pointwise(BATCH_NORM, 9, PRELU, 0, NO_DROPOUT);
    b.on_saved(SAVE, 1, 12, b.height);
    for (int activation = ELU; activation <= SIGMOID; activation++)
        b.pointwise(GROUP_NORM, 1 + activation % 4, (Activation)activation, 0.5f, NO_DROPOUT);
    b.on_saved(ADD, 1, 12, b.height);
    b.conv(17, 1, 1, 0, 1, 1, false, false);
    b.on_saved(SWAP, 0, 12, b.height);
    b.conv(17, 1, 1, 0, 1, 1, false, false);
    b.on_saved(ADD, 0, 17, b.height);
    b.conv(60, 1, 1, 0, 1, 1, true, false);
    b.conv(62, 3, 1, 1, 1, 2, false, false);  // many channels and taps, in two groups
    b.conv(17, 1, 1, 0, 1, 1, true, false);
    b.pool(AVG_POOL, 3, 2, 1);
    b.pointwise(BATCH_NORM, 0, LEAKY_RELU, 0.2f, DROP_CHANNELS);
    b.pool(MAX_POOL, 3, 2, 1);
    b.conv(10, 2, 2, 0, 1, 1, false, false);
    b.pool(AVG_POOL, b.height, b.height, 0);
    std::vector<uint8_t> pixels(50 * 784);
    std::vector<float> floats(50 * 784), matrices;
    std::vector<int64_t> labels(50), indices(50);
    for (size_t i = 0; i < pixels.size(); i++) pixels[i] = (uint8_t)b.random(), floats[i] = (float)pixels[i] / 255 - 0.5f;
    for (int i = 0; i < 50; i++) {
        labels[i] = i % 10, indices[i] = 49 - i;
        const float scale = i == 7 ? 0.01f : 1, shift = i == 8 ? 1e6f : (float)i;  // far outside of the image, too
        const float matrix[9] = {0.9f / scale, -0.3f, shift, 0.3f, 0.9f / scale, -shift, 0, 0, 1};
        matrices.insert(matrices.end(), matrix, matrix + 9);
    }
    const Images inputs[] = {{floats.data(), nullptr, nullptr, nullptr, 0, 0},
                             {nullptr, pixels.data(), indices.data(), nullptr, 0.01f, -0.4f},
                             {nullptr, pixels.data(), indices.data(), matrices.data(), 0.01f, -0.4f}};
    std::vector<float*> tensors = addresses(b.tensors), gradients = addresses(b.gradients);
    std::vector<int> all_products;
    for (int products = FLOAT32; products <= mnist_lite_bfloat16_products(); products++) all_products.push_back(products);
    if (mnist_lite_float32_products() != FLOAT32) all_products.insert(all_products.end(), {AMX_SPLIT, AMX_SPLIT_WHERE_FASTER});
    for (int products : all_products) {
        Network* network = mnist_lite_new(b.ops.data(), (int)b.ops.size(), 3, products);
        for (const Images& images : inputs) {
            if (products != FLOAT32 && &images != inputs) continue;  // a convolution does not know where the images are from
            for (int count : {1 + (int)(LANES > 1), LANES, LANES + 1, 50}) {
                double results[3];
                std::vector<float> logits(10 * count);
                if (mnist_lite_run(network, &images, labels.data(), count, tensors.data(), gradients.data(), 5, 0.1f, nullptr,
                                   results))
                    return 2;
                if (!results[2]) return 3;
                mnist_lite_run(network, &images, labels.data(), count, tensors.data(), nullptr, 0, 0, logits.data(), results);
                std::printf("%d images: loss %.6f\n", count, results[0] / count);
            }
        }
        if (products == all_products.back()) update_weights(network, b);
        mnist_lite_delete(network);
    }
}
